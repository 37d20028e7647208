//! The embedded mailbox's rows.

use super::{Store, json};
use crate::approval::Action;
use crate::authority::Pattern;
use crate::clock::Millis;
use crate::digest::Digest;
use crate::refusals::Result;
use crate::tools::messages::{Mail, Query};
use rusqlite::types::Value;
use rusqlite::{Row, params, params_from_iter};

/// A message to add. Its digest is that of its source.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// What agents see of it.
    pub mail: Mail,
    /// As it arrived.
    pub source: Vec<u8>,
}

/// What became of a message that was to be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It is new.
    New,
    /// It is here already, byte for byte.
    Known,
}

/// A message that has left.
#[derive(Clone, Debug)]
pub struct Sent {
    /// `msg_…`
    pub id: String,
    /// Its Message-ID, without angle brackets.
    pub message_id: String,
    /// What was signed.
    pub action: Action,
    /// The bytes that left.
    pub bytes: Vec<u8>,
    /// The approval that let it out.
    pub approval: String,
    /// When it left.
    pub sent_ms: Millis,
}

/// Which of the messages that have left.
#[derive(Clone, Copy, Debug)]
pub enum Letters {
    /// The latest so many.
    Latest(u32),
    /// Those of the intent of this number.
    OfIntent(i64),
}

impl Store {
    /// Adds messages; one that is here already, byte for byte, is left as it is.
    pub async fn add_mail(&self, tenant: &str, user: &str, messages: Vec<NewMail>) -> Result<Vec<Added>> {
        let (tenant, user) = (tenant.to_owned(), user.to_owned());
        self.write(move |db| {
            let mut insert = db.prepare_cached(
                "INSERT OR IGNORE INTO mail (id, tenant, user, digest, sender, sender_lower, recipients, subject, body, \
                 truncated, timestamp_ms, unread, extras) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
            )?;
            let mut source = db.prepare_cached("INSERT INTO mail_source VALUES (?1, ?2)")?;
            let mut added = Vec::with_capacity(messages.len());
            for NewMail { mail, source: bytes } in &messages {
                let recipients = serde_json::to_string(&mail.to).expect("JSON serializes");
                let digest = Digest::of(bytes).0;
                let rows = insert.execute(params![
                    mail.id,
                    tenant,
                    user,
                    digest,
                    mail.from,
                    mail.from.to_ascii_lowercase(),
                    recipients,
                    mail.subject,
                    mail.body,
                    mail.truncated,
                    mail.timestamp_ms,
                    mail.unread,
                    mail.extras,
                ])?;
                if rows == 0 {
                    added.push(Added::Known);
                    continue;
                }
                source.execute(params![db.last_insert_rowid(), bytes])?;
                added.push(Added::New);
            }
            Ok(added)
        })
        .await
    }

    /// Incoming messages, newest first, confined to `scope`.
    pub fn mail(
        &self,
        tenant: &str,
        user: &str,
        scope: Option<&[Pattern]>,
        query: &Query,
    ) -> Result<Vec<Mail>> {
        let mut sql = String::from(
            "SELECT id, sender, recipients, subject, body, truncated, timestamp_ms, unread, extras FROM mail \
             WHERE tenant = ? AND user = ?",
        );
        let mut values = vec![Value::from(tenant.to_owned()), Value::from(user.to_owned())];
        if let Some(from) = &query.from {
            sql += " AND sender_lower = ?";
            values.push(from.to_ascii_lowercase().into());
        }
        if let Some(after) = query.after_ms {
            sql += " AND timestamp_ms > ?";
            values.push(after.into());
        }
        sql += " ORDER BY timestamp_ms DESC, seq DESC";
        let within =
            |sender: &str| scope.is_none_or(|scope| scope.iter().any(|pattern| pattern.matches(sender)));
        self.read(|db| {
            let mut statement = db.prepare_cached(&sql)?;
            let mut rows = statement.query(params_from_iter(&values))?;
            let mut found = Vec::new();
            while found.len() < query.limit as usize
                && let Some(row) = rows.next()?
            {
                if within(&row.get::<_, String>(1)?) {
                    found.push(mail(row)?);
                }
            }
            Ok(found)
        })
    }

    /// Message-IDs of what has left, and how many bytes each has.
    pub fn letters(&self, which: Letters) -> Result<Vec<(String, u64)>> {
        let (sql, value) = match which {
            Letters::Latest(limit) => (
                "SELECT message_id, length(bytes) FROM outbox WHERE state = 'sent' ORDER BY sent_seq DESC LIMIT ?1",
                i64::from(limit),
            ),
            Letters::OfIntent(seq) => {
                ("SELECT message_id, length(bytes) FROM outbox WHERE state = 'sent' AND intent = ?1", seq)
            }
        };
        self.read(|db| {
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map([value], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as u64)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// The bytes of a message, as signed.
    pub fn letter(&self, message_id: &str) -> Result<Vec<u8>> {
        self.read(|db| {
            let sql = "SELECT bytes FROM outbox WHERE message_id = ?1";
            Ok(db.prepare_cached(sql)?.query_row([message_id], |row| row.get(0))?)
        })
    }

    /// What has left, newest first.
    pub fn sent(&self, tenant: &str, user: &str, limit: u32) -> Result<Vec<Sent>> {
        self.read(|db| {
            let sql = "SELECT message, message_id, action, bytes, approval, sent_ms FROM outbox \
                       WHERE tenant = ?1 AND user = ?2 AND state = 'sent' ORDER BY sent_seq DESC LIMIT ?3";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![tenant, user, limit], |row| {
                let action: Vec<u8> = row.get(2)?;
                Ok(Sent {
                    id: row.get(0)?,
                    message_id: row.get(1)?,
                    action: Action::decode(&action)
                        .ok_or_else(|| super::damaged("an action does not decode"))?,
                    bytes: row.get(3)?,
                    approval: row.get(4)?,
                    sent_ms: row.get(5)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

fn mail(row: &Row<'_>) -> rusqlite::Result<Mail> {
    Ok(Mail {
        id: row.get(0)?,
        from: row.get(1)?,
        to: json(&row.get::<_, String>(2)?)?,
        subject: row.get(3)?,
        body: row.get(4)?,
        truncated: row.get(5)?,
        timestamp_ms: row.get(6)?,
        unread: row.get(7)?,
        extras: row.get(8)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, from: &str, timestamp_ms: i64) -> NewMail {
        let mail = Mail {
            id: id.into(),
            from: from.into(),
            to: vec!["me@x.com".into()],
            subject: id.into(),
            body: String::new(),
            truncated: false,
            timestamp_ms,
            unread: true,
            extras: None,
        };
        NewMail { mail, source: id.into() }
    }

    async fn filled() -> Store {
        let store = Store::in_memory().unwrap();
        let messages = vec![
            message("a", "Boss@x.com", 1),
            message("b", "b?ss@x.com", 3),
            message("c", "boss@y.com", 2),
            message("d", "boss@x.com", 3),
        ];
        assert_eq!(store.add_mail("main", "me", messages.clone()).await.unwrap(), [Added::New; 4]);
        assert_eq!(store.add_mail("main", "me", messages).await.unwrap(), [Added::Known; 4]);
        store
    }

    fn ids(store: &Store, scope: Option<&[&str]>, query: Query) -> String {
        let scope: Option<Vec<_>> = scope.map(|scope| scope.iter().map(|p| Pattern::new(*p)).collect());
        let found = store.mail("main", "me", scope.as_deref(), &query).unwrap();
        found.into_iter().map(|mail| mail.id).collect()
    }

    #[tokio::test]
    async fn newest_first_and_by_whole_sender_and_strictly_after() {
        let store = filled().await;
        let query = || Query { limit: 10, ..Query::default() };
        assert_eq!(ids(&store, None, query()), "dbca");
        assert_eq!(ids(&store, None, Query { limit: 2, ..query() }), "db");
        assert_eq!(ids(&store, None, Query { from: Some("BOSS@X.com".into()), ..query() }), "da");
        assert_eq!(ids(&store, None, Query { after_ms: Some(2), ..query() }), "db");
        assert_eq!(store.mail("main", "you", None, &query()).unwrap(), []);
        assert_eq!(store.mail("other", "me", None, &query()).unwrap(), []);
    }

    #[tokio::test]
    async fn a_scope_confines_what_is_listed() {
        let store = filled().await;
        let query = || Query { limit: 10, ..Query::default() };
        assert_eq!(ids(&store, Some(&[]), query()), "");
        assert_eq!(ids(&store, Some(&["*@y.com"]), query()), "c");
        assert_eq!(ids(&store, Some(&["b?ss@x.com"]), query()), "b");
        assert_eq!(ids(&store, Some(&["boss@*"]), query()), "dca");
    }
}
