//! The embedded mailbox's rows.

use super::{Store, json};
use crate::approval::Action;
use crate::authority::Pattern;
use crate::clock::Millis;
use crate::digest::Digest;
use crate::printable::short;
use crate::refusals::{Code, Problem, Result};
use crate::tools::messages::{Mail, Query};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

/// A message to add. Its digest is that of its source.
#[derive(Clone, Debug)]
pub struct NewMail {
    /// What makes it this message, whatever servers and mail programs have added to it.
    pub identity: Digest,
    /// The identity that versions before gave it, by which it may be here.
    pub older_identity: Digest,
    /// Whether where it lies says if somebody has read it.
    pub is_marked: bool,
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
    /// It is here already.
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
    /// Whether it has left nowhere to: its user has no way out, and it is kept in the embedded mailbox.
    pub kept: bool,
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
    /// Adds messages. Of one that is here already nothing changes but whether it is unread, where that is known. One that an older
    /// Countersign imported, and which has an older identity or none, is read anew, and keeps its name.
    pub async fn add_mail(&self, tenant: &str, user: &str, messages: Vec<NewMail>) -> Result<Vec<Added>> {
        let (tenant, user) = (tenant.to_owned(), user.to_owned());
        self.write(move |db| messages.iter().map(|message| Ok(add(db, &tenant, &user, message)?)).collect())
            .await
    }

    /// Incoming messages, newest first, confined to `scope`. Whoever has no valid address is in no scope.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID` for a `before` that names no message of this user.
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
        if let Some(before) = &query.before {
            let (timestamp_ms, seq) = self.place(tenant, user, before)?;
            sql += " AND (timestamp_ms, seq) < (?, ?)";
            values.extend([timestamp_ms.into(), seq.into()]);
        }
        sql += " ORDER BY timestamp_ms DESC, seq DESC";
        let within =
            |sender: &str| scope.is_none_or(|scope| scope.iter().any(|pattern| pattern.covers(sender)));
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

    /// Where a message stands in the order of the list.
    fn place(&self, tenant: &str, user: &str, id: &str) -> Result<(Millis, i64)> {
        self.read(|db| {
            let sql = "SELECT timestamp_ms, seq FROM mail WHERE tenant = ?1 AND user = ?2 AND id = ?3";
            let mut statement = db.prepare_cached(sql)?;
            let found =
                statement.query_row([tenant, user, id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
            Ok(found.ok_or_else(|| unknown(id))?)
        })
    }

    /// Message-IDs of what has left, and how many bytes each has.
    pub fn letters(&self, which: Letters) -> Result<Vec<(String, u64)>> {
        let (sql, value) = match which {
            Letters::Latest(limit) => (
                "SELECT message_id, length(bytes) FROM outbox WHERE state IN ('sent', 'kept') ORDER BY sent_seq DESC LIMIT ?1",
                i64::from(limit),
            ),
            Letters::OfIntent(seq) => (
                "SELECT message_id, length(bytes) FROM outbox WHERE state IN ('sent', 'kept') AND intent = ?1",
                seq,
            ),
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

    /// What has left, newest first: at most `limit`, behind the message of the id `before`.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID` for a `before` that names nothing this user has sent.
    pub fn sent(&self, tenant: &str, user: &str, before: Option<&str>, limit: u32) -> Result<Vec<Sent>> {
        self.read(|db| {
            let behind = match before {
                None => i64::MAX,
                Some(id) => {
                    let sql = "SELECT sent_seq FROM outbox \
                               WHERE tenant = ?1 AND user = ?2 AND state IN ('sent', 'kept') AND message = ?3";
                    let found = db.prepare_cached(sql)?.query_row([tenant, user, id], |row| row.get(0)).optional()?;
                    found.ok_or_else(|| unknown(id))?
                }
            };
            let sql = "SELECT message, message_id, action, bytes, approval, sent_ms, state = 'kept' FROM outbox \
                       WHERE tenant = ?1 AND user = ?2 AND state IN ('sent', 'kept') AND sent_seq < ?3 ORDER BY sent_seq DESC LIMIT ?4";
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map(params![tenant, user, behind, limit], |row| {
                let action: Vec<u8> = row.get(2)?;
                Ok(Sent {
                    id: row.get(0)?,
                    message_id: row.get(1)?,
                    action: Action::decode(&action)
                        .ok_or_else(|| super::damaged("an action does not decode"))?,
                    bytes: row.get(3)?,
                    approval: row.get(4)?,
                    sent_ms: row.get(5)?,
                    kept: row.get(6)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }
}

/// Adds one message, or finds it.
fn add(db: &Connection, tenant: &str, user: &str, message: &NewMail) -> rusqlite::Result<Added> {
    let NewMail { identity, older_identity, is_marked, mail, source } = message;
    let digest = Digest::of(source).0;
    // Of several that may be meant, the one that is it for certain.
    let sql = "SELECT seq, identity IS NOT ?3 FROM mail WHERE tenant = ?1 AND user = ?2 \
               AND (identity IN (?3, ?4) OR digest = ?5) ORDER BY identity IS ?3 DESC, identity IS NULL LIMIT 1";
    let mut known = db.prepare_cached(sql)?;
    let known = known.query_row(params![tenant, user, identity.0, older_identity.0, digest], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?))
    });
    let recipients = serde_json::to_string(&mail.to).expect("JSON serializes");
    let sender_lower = mail.from.to_ascii_lowercase();
    match known.optional()? {
        Some((seq, is_older)) => {
            if is_older {
                let sql = "UPDATE mail SET identity = ?2, sender = ?3, sender_lower = ?4, recipients = ?5, subject = ?6, body = ?7, \
                           truncated = ?8, timestamp_ms = ?9, extras = ?10 WHERE seq = ?1";
                db.prepare_cached(sql)?.execute(params![
                    seq,
                    identity.0,
                    mail.from,
                    sender_lower,
                    recipients,
                    mail.subject,
                    mail.body,
                    mail.truncated,
                    mail.timestamp_ms,
                    mail.extras,
                ])?;
            }
            if *is_marked {
                db.prepare_cached("UPDATE mail SET unread = ?2 WHERE seq = ?1")?
                    .execute(params![seq, mail.unread])?;
            }
            Ok(Added::Known)
        }
        None => {
            let sql = "INSERT INTO mail (id, tenant, user, digest, identity, sender, sender_lower, recipients, subject, body, truncated, \
                       timestamp_ms, unread, extras) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
            db.prepare_cached(sql)?.execute(params![
                mail.id,
                tenant,
                user,
                digest,
                identity.0,
                mail.from,
                sender_lower,
                recipients,
                mail.subject,
                mail.body,
                mail.truncated,
                mail.timestamp_ms,
                mail.unread,
                mail.extras,
            ])?;
            db.prepare_cached("INSERT INTO mail_source VALUES (?1, ?2)")?
                .execute(params![db.last_insert_rowid(), source])?;
            Ok(Added::New)
        }
    }
}

fn unknown(id: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is no message {} in the mailbox", short(id, 40)))
        .hint("begin again without `before`")
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
        NewMail {
            identity: Digest::of(id.as_bytes()),
            older_identity: Digest::of(format!("older {id}").as_bytes()),
            is_marked: false,
            mail,
            source: id.into(),
        }
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
    async fn a_cursor_leads_through_every_message_once_whatever_its_time() {
        let store = Store::in_memory().unwrap();
        let messages = (0..250).map(|n| message(&format!("m{n:03}"), "a@x.com", 7)).collect();
        store.add_mail("main", "me", messages).await.unwrap();
        for scope in [None, Some(&["*@x.com"][..])] {
            let scope: Option<Vec<_>> = scope.map(|scope| scope.iter().map(|p| Pattern::new(*p)).collect());
            let (mut seen, mut before) = (Vec::new(), None);
            loop {
                let query = Query { limit: 100, before: before.clone(), ..Query::default() };
                let page = store.mail("main", "me", scope.as_deref(), &query).unwrap();
                seen.extend(page.iter().map(|mail| mail.id.clone()));
                match page.last() {
                    Some(last) => before = Some(last.id.clone()),
                    None => break,
                }
            }
            let expected: Vec<_> = (0..250).rev().map(|n| format!("m{n:03}")).collect();
            assert_eq!(seen, expected);
        }
        let query = Query { limit: 1, before: Some("m007".into()), ..Query::default() };
        let problem = store.mail("main", "you", None, &query).unwrap_err().to_string();
        assert!(problem.contains("there is no message m007"), "{problem}");
    }

    #[tokio::test]
    async fn nobody_is_in_no_scope() {
        let store = Store::in_memory().unwrap();
        let senders = [
            "",
            "boss",
            "mallory@evil.com boss@x.com",
            "a\r\n@x.com",
            "@x.com",
            "\"a b\"@x.com",
            "evil.com!a@x.com",
        ];
        let messages =
            senders.iter().enumerate().map(|(n, sender)| message(&n.to_string(), sender, 1)).collect();
        store.add_mail("main", "me", messages).await.unwrap();
        let query = || Query { limit: 10, ..Query::default() };
        assert_eq!(ids(&store, Some(&["*", "*@x.com", "", "boss"]), query()), "");
        assert_eq!(ids(&store, None, query()).len(), senders.len());
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
