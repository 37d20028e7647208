//! People: their roles and passwords, and what lets them in: links, browsers and tokens, of which only digests are kept.

use super::{Store, audit, json, touch};
use crate::audit::{Fact, Whose};
use crate::clock::{Millis, rfc3339};
use crate::digest::Digest;
use crate::people::secret::{
    IDLE_MS_MAX, INVITATION_MS_MAX, SESSION_MS_MAX, SESSIONS_MAX, TOKENS_MAX, is_over,
};
use crate::people::{Person, Role, Scope, TENANT, givable};
use crate::printable::short;
use crate::refusals::{Code, Problem, Result};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// How many people a tenant has at most: a list of them is whole.
pub const PEOPLE_MAX: u32 = 1000;

/// What a person shows through a browser.
const BROWSER: &str = "browser";

/// Somebody as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonRow {
    /// Their name.
    pub name: String,
    /// What they are there for.
    pub roles: BTreeSet<Role>,
    /// Whether they have chosen a password.
    pub has_password: bool,
    /// Until when their link can be used, if they have one.
    pub invited_until_ms: Option<Millis>,
    /// When they were invited first.
    pub added_ms: Millis,
    /// By whom.
    pub added_by: String,
}

/// A link that can still be used, and for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invitation {
    /// Whose host it is.
    pub tenant: String,
    /// Who chooses a password by it.
    pub name: String,
    /// Until when.
    pub expires_ms: Millis,
}

/// A token as listed: all there is of it but what makes it one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub name: String,
    /// What it is for, in its owner's words.
    pub label: String,
    /// What it may be used for, as far as its owner may.
    pub roles: BTreeSet<Role>,
    /// When it was made.
    pub made_ms: Millis,
    /// When it ends.
    pub expires_ms: Millis,
    /// When it was last used, to a minute.
    pub used_ms: Option<Millis>,
}

/// Somebody who was let in, and when what let them in was last used, as far as that is written.
#[derive(Clone, Debug)]
pub(crate) struct LetIn {
    pub person: Person,
    pub used_ms: Option<Millis>,
}

impl Store {
    /// Everybody of a tenant, by name.
    pub fn people(&self, tenant: &str, now: Millis) -> Result<Vec<PersonRow>> {
        self.read(|db| {
            let mut statement = db.prepare_cached(&format!("{PERSON} WHERE tenant = ?1 ORDER BY name"))?;
            let all = statement.query_map(params![tenant, now], person)?.collect::<Result<_, _>>()?;
            Ok(all)
        })
    }

    /// Somebody by name.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`.
    pub fn somebody(&self, tenant: &str, name: &str, now: Millis) -> Result<PersonRow> {
        self.read(|db| Ok(find(db, tenant, name, now)?.ok_or_else(|| unknown(name))?))
    }

    /// Whether somebody other than `but` could approve: has the role, and a password to sign in with.
    pub fn has_other_approver(&self, tenant: &str, but: &str) -> Result<bool> {
        self.read(|db| {
            let sql = format!("SELECT 1 FROM person p WHERE tenant = ?1 AND name <> ?2 AND {HAS_ROLE} AND password IS NOT NULL");
            Ok(db.prepare_cached(&sql)?.exists([tenant, but, Role::Approver.name()])?)
        })
    }

    /// Who can approve other than `but`, by name: has the role, and a password to sign in with. Some of them, where they are many.
    pub fn other_approvers(&self, tenant: &str, but: &str) -> Result<Vec<String>> {
        self.read(|db| {
            let sql = format!(
                "SELECT name FROM person p WHERE tenant = ?1 AND name <> ?2 AND {HAS_ROLE} AND password IS NOT NULL \
                 ORDER BY name LIMIT 10"
            );
            let mut statement = db.prepare_cached(&sql)?;
            let rows = statement.query_map([tenant, but, Role::Approver.name()], |row| row.get(0))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    /// Invites the first person there is: gives whether somebody still has to be, because nobody of the first tenant has a password.
    pub(crate) async fn invite_first(
        &self,
        name: String,
        link: Digest,
        by: String,
        now: Millis,
    ) -> Result<bool> {
        self.write(move |db| {
            let sql = "SELECT 1 FROM person WHERE tenant = ?1 AND password IS NOT NULL";
            if db.prepare(sql)?.exists([TENANT])? {
                return Ok(false);
            }
            touch(db, now)?;
            let roles = BTreeSet::from(Role::ALL);
            put(db, TENANT, &name, &roles, now, &by)?;
            invite(db, (TENANT, &name, &roles), link, now, &by)?;
            Ok(true)
        })
        .await
    }

    /// Makes a link for somebody, in place of an earlier one; with `roles`, for somebody new. Gives nothing: the caller has the secret.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID` without roles, for somebody who is not there; `INVALID_PARAMETER` with other roles than they have, and where
    /// nobody else fits in.
    pub(crate) async fn invite(
        &self,
        (tenant, name): (String, String),
        roles: Option<BTreeSet<Role>>,
        link: Digest,
        by: String,
        now: Millis,
    ) -> Result<()> {
        self.write(move |db| {
            touch(db, now)?;
            let roles = match (find(db, &tenant, &name, now)?, roles) {
                (None, None) => return Err(unknown(&name).into()),
                (Some(known), Some(roles)) if known.roles != roles => {
                    let message = format!("`{name}` is there already, with other roles");
                    return Err(Problem::new(Code::InvalidParameter, message)
                        .hint("invite them without roles for a new link, and change their roles apart")
                        .into());
                }
                (Some(known), _) => known.roles,
                (None, Some(roles)) => {
                    let sql = "SELECT count(*) FROM person WHERE tenant = ?1";
                    if db.query_row(sql, [&tenant], |row| row.get::<_, u32>(0))? >= PEOPLE_MAX {
                        let message =
                            format!("tenant {tenant} has {PEOPLE_MAX} people, and has room for no more");
                        return Err(Problem::new(Code::InvalidParameter, message)
                            .hint("remove somebody who is gone")
                            .into());
                    }
                    put(db, &tenant, &name, &roles, now, &by)?;
                    roles
                }
            };
            Ok(invite(db, (&tenant, &name, &roles), link, now, &by)?)
        })
        .await
    }

    /// Whom a link is for, as long as it can be used.
    pub fn invitation(&self, link: Digest, now: Millis) -> Result<Option<Invitation>> {
        self.read(|db| Ok(invitation(db, link, now)?))
    }

    /// Uses a link up: its owner has this password from now on, and is signed in with this browser and no other. Gives nobody where
    /// the link can no longer be used.
    pub(crate) async fn join(
        &self,
        link: Digest,
        password: String,
        (browser, from): (Digest, Option<IpAddr>),
        now: Millis,
    ) -> Result<Option<Person>> {
        self.write(move |db| {
            touch(db, now)?;
            let Some(Invitation { tenant, name, .. }) = invitation(db, link, now)? else { return Ok(None) };
            choose(db, &tenant, &name, &password)?;
            enter(db, &tenant, &name, browser, now)?;
            audit::append(
                db,
                now,
                Whose { tenant: &tenant, user: Some(&name) },
                &Fact::Join { person: &name, from },
            )?;
            Ok(session(db, browser, now)?.map(|known| known.person))
        })
        .await
    }

    /// What is kept of somebody's password.
    pub(crate) fn password(&self, tenant: &str, name: &str) -> Result<Kept> {
        self.read(|db| {
            let sql = "SELECT password FROM person WHERE tenant = ?1 AND name = ?2";
            let found = db.prepare_cached(sql)?.query_row([tenant, name], |row| row.get(0)).optional()?;
            Ok(match found {
                Some(password) => Kept { is_known: true, password },
                None => Kept { is_known: false, password: None },
            })
        })
    }

    /// Signs a browser in whose person has shown the password that `kept` was made of. Gives nobody where that is no longer theirs.
    pub(crate) async fn sign_in(
        &self,
        (tenant, name): (String, String),
        kept: String,
        (browser, from): (Digest, Option<IpAddr>),
        now: Millis,
    ) -> Result<Option<Person>> {
        self.write(move |db| {
            let sql = "SELECT 1 FROM person WHERE tenant = ?1 AND name = ?2 AND password = ?3";
            if !db.prepare_cached(sql)?.exists([&tenant, &name, &kept])? {
                return Ok(None);
            }
            touch(db, now)?;
            enter(db, &tenant, &name, browser, now)?;
            let whose = Whose { tenant: &tenant, user: Some(&name) };
            audit::append(db, now, whose, &Fact::SignIn { person: &name, from })?;
            Ok(session(db, browser, now)?.map(|known| known.person))
        })
        .await
    }

    /// Records that somebody of this name was not let in, and that so many before had no entry.
    pub(crate) async fn failed_sign_in(
        &self,
        (tenant, name): (String, String),
        from: Option<IpAddr>,
        unrecorded: u32,
        now: Millis,
    ) -> Result<()> {
        self.write(move |db| {
            touch(db, now)?;
            let whose = Whose { tenant: &tenant, user: Some(&name) };
            Ok(audit::append(db, now, whose, &Fact::SignInFailed { person: &name, from, unrecorded })?)
        })
        .await
    }

    /// Puts another password in place of the one `kept` was made of, and signs this browser in and every other one out. Gives nobody
    /// where the session has ended or the password has been changed meanwhile.
    pub(crate) async fn change_password(
        &self,
        before: Digest,
        (kept, password): (String, String),
        (browser, from): (Digest, Option<IpAddr>),
        now: Millis,
    ) -> Result<Option<Person>> {
        self.write(move |db| {
            let Some(LetIn { person: Person { tenant, name, .. }, .. }) = session(db, before, now)? else {
                return Ok(None);
            };
            let sql = "SELECT 1 FROM person WHERE tenant = ?1 AND name = ?2 AND password = ?3";
            if !db.prepare_cached(sql)?.exists([&tenant, &name, &kept])? {
                return Ok(None);
            }
            touch(db, now)?;
            choose(db, &tenant, &name, &password)?;
            enter(db, &tenant, &name, browser, now)?;
            let whose = Whose { tenant: &tenant, user: Some(&name) };
            audit::append(db, now, whose, &Fact::Password { person: &name, from })?;
            Ok(session(db, browser, now)?.map(|known| known.person))
        })
        .await
    }

    /// Who is signed in with a browser, with the roles they have now.
    pub(crate) fn session(&self, browser: Digest, now: Millis) -> Result<Option<LetIn>> {
        self.read(|db| Ok(session(db, browser, now)?))
    }

    /// Writes that a browser was used. One that was signed out meanwhile stays so.
    pub(crate) async fn use_session(&self, browser: Digest, now: Millis) -> Result<()> {
        self.write(move |db| {
            touch(db, now)?;
            let sql = "UPDATE session SET used_ms = ?2 WHERE digest = ?1 AND used_ms < ?2";
            db.prepare_cached(sql)?.execute(params![browser.0, now])?;
            Ok(())
        })
        .await
    }

    /// Signs a browser out.
    pub(crate) async fn sign_out(
        &self,
        (browser, from): (Digest, Option<IpAddr>),
        now: Millis,
    ) -> Result<()> {
        self.write(move |db| {
            let sql = "DELETE FROM session WHERE digest = ?1 RETURNING tenant, name";
            let read = |row: &Row<'_>| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?));
            let deleted = db.prepare_cached(sql)?.query_row([browser.0], read).optional()?;
            let Some((tenant, name)) = deleted else { return Ok(()) };
            touch(db, now)?;
            let whose = Whose { tenant: &tenant, user: Some(&name) };
            Ok(audit::append(db, now, whose, &Fact::SignOut { person: &name, from })?)
        })
        .await
    }

    /// Gives somebody other roles, which they have at once.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `FORBIDDEN` where nobody would be left to add people.
    pub async fn set_roles(
        &self,
        (tenant, name): (&str, &str),
        roles: &BTreeSet<Role>,
        by: &str,
        now: Millis,
    ) -> Result<()> {
        let (tenant, name, by, roles) = (tenant.to_owned(), name.to_owned(), by.to_owned(), roles.clone());
        self.write(move |db| {
            touch(db, now)?;
            let known = find(db, &tenant, &name, now)?.ok_or_else(|| unknown(&name))?;
            if !roles.contains(&Role::Operator) {
                keep_an_operator(db, &tenant, &known)?;
            }
            let sql = "UPDATE person SET roles = ?3 WHERE tenant = ?1 AND name = ?2";
            db.execute(sql, params![tenant, name, written(&roles)])?;
            let assigned = Fact::Assign { person: &name, roles: &roles, by: &by };
            Ok(audit::append(db, now, Whose { tenant: &tenant, user: None }, &assigned)?)
        })
        .await
    }

    /// Removes somebody, and all that lets them in. Their intents and their mail stay.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `FORBIDDEN` where nobody would be left to add people.
    pub async fn remove_person(&self, tenant: &str, name: &str, by: &str, now: Millis) -> Result<()> {
        let (tenant, name, by) = (tenant.to_owned(), name.to_owned(), by.to_owned());
        self.write(move |db| {
            touch(db, now)?;
            let known = find(db, &tenant, &name, now)?.ok_or_else(|| unknown(&name))?;
            keep_an_operator(db, &tenant, &known)?;
            for table in ["person", "invitation", "session", "token"] {
                let sql = format!("DELETE FROM {table} WHERE tenant = ?1 AND name = ?2");
                db.execute(&sql, [&tenant, &name])?;
            }
            let dismissed = Fact::Dismiss { person: &name, by: &by };
            Ok(audit::append(db, now, Whose { tenant: &tenant, user: None }, &dismissed)?)
        })
        .await
    }

    /// The tokens of one person, or of everybody in a tenant, those that have ended too; the oldest first.
    pub fn tokens<'a>(&self, scope: impl Into<Scope<'a>>) -> Result<Vec<TokenRow>> {
        let Scope { tenant, user } = scope.into();
        self.read(|db| {
            let sql = "SELECT id, name, label, roles, made_ms, expires_ms, used_ms FROM token \
                       WHERE tenant = ?1 AND (?2 IS NULL OR name = ?2) ORDER BY made_ms, id";
            let mut statement = db.prepare_cached(sql)?;
            let all = statement.query_map(params![tenant, user], token)?.collect::<Result<_, _>>()?;
            Ok(all)
        })
    }

    /// Keeps a token of somebody.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` where its owner was removed meanwhile; `INVALID_PARAMETER` where they have too many.
    pub(crate) async fn make_token(
        &self,
        tenant: String,
        row: TokenRow,
        secret: Digest,
        by: String,
    ) -> Result<()> {
        self.write(move |db| {
            touch(db, row.made_ms)?;
            let owner = [&tenant, &row.name];
            let sql = "SELECT 1 FROM person WHERE tenant = ?1 AND name = ?2";
            if !db.prepare_cached(sql)?.exists(owner)? {
                let message = format!("`{}` has been removed meanwhile", row.name);
                return Err(Problem::new(Code::Unauthenticated, message).into());
            }
            // What has ended makes room.
            let sql = "DELETE FROM token WHERE tenant = ?1 AND name = ?2 AND expires_ms <= ?3";
            db.execute(sql, params![tenant, row.name, row.made_ms])?;
            let sql = "SELECT count(*) FROM token WHERE tenant = ?1 AND name = ?2";
            if db.query_row(sql, owner, |row| row.get::<_, u32>(0))? >= TOKENS_MAX {
                let message = format!("`{}` has {TOKENS_MAX} tokens, and can have no more", row.name);
                return Err(Problem::new(Code::InvalidParameter, message)
                    .hint("revoke those that are no longer used")
                    .into());
            }
            db.execute(
                "INSERT INTO token VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, NULL)",
                params![
                    row.id,
                    secret.0,
                    tenant,
                    row.name,
                    row.label,
                    written(&row.roles),
                    row.made_ms,
                    row.expires_ms
                ],
            )?;
            let expires = rfc3339(row.expires_ms);
            let issued = Fact::Issue { token: &row.id, roles: &row.roles, expires, by: &by };
            Ok(audit::append(db, row.made_ms, Whose { tenant: &tenant, user: Some(&row.name) }, &issued)?)
        })
        .await
    }

    /// Whose a token is, with those of its roles they have now.
    pub(crate) fn token(&self, id: &str, secret: Digest, now: Millis) -> Result<Option<LetIn>> {
        self.read(|db| {
            let sql = "SELECT t.tenant, t.name, t.roles, p.roles, t.used_ms FROM token t \
                       JOIN person p ON p.tenant = t.tenant AND p.name = t.name \
                       WHERE t.id = ?1 AND t.digest = ?2 AND t.expires_ms > ?3";
            let found = db.prepare_cached(sql)?.query_row(params![id, secret.0, now], |row| {
                let given = roles(row, 2)?;
                let roles = givable(&roles(row, 3)?).intersection(&given).copied().collect();
                let person = Person { tenant: row.get(0)?, name: row.get(1)?, roles, through: id.to_owned() };
                Ok(LetIn { person, used_ms: row.get(4)? })
            });
            Ok(found.optional()?)
        })
    }

    /// Writes that a token was used.
    pub(crate) async fn use_token(&self, id: String, now: Millis) -> Result<()> {
        self.write(move |db| {
            touch(db, now)?;
            let sql = "UPDATE token SET used_ms = ?2 WHERE id = ?1 AND (used_ms IS NULL OR used_ms < ?2)";
            db.prepare_cached(sql)?.execute(params![id, now])?;
            Ok(())
        })
        .await
    }

    /// Ends a token at once.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for a token outside the scope.
    pub async fn revoke_token(
        &self,
        scope: impl Into<Scope<'_>>,
        id: &str,
        by: &str,
        now: Millis,
    ) -> Result<()> {
        let Scope { tenant, user } = scope.into();
        let (tenant, user) = (tenant.to_owned(), user.map(str::to_owned));
        let (id, by) = (id.to_owned(), by.to_owned());
        self.write(move |db| {
            touch(db, now)?;
            let sql = "DELETE FROM token WHERE id = ?1 AND tenant = ?2 AND (?3 IS NULL OR name = ?3) RETURNING name";
            let deleted = db.query_row(sql, params![id, tenant, user], |row| row.get::<_, String>(0)).optional()?;
            let Some(name) = deleted else { return Err(unknown_token(&id).into()) };
            let whose = Whose { tenant: &tenant, user: Some(&name) };
            Ok(audit::append(db, now, whose, &Fact::Recall { token: &id, by: &by })?)
        })
        .await
    }
}

/// What is kept of a password somebody may have.
pub(crate) struct Kept {
    /// Whether there is a person of that name.
    pub is_known: bool,
    /// The hash, where they have chosen one.
    pub password: Option<String>,
}

/// Whether a person `p` has the role that is bound third.
const HAS_ROLE: &str = "EXISTS (SELECT 1 FROM json_each(p.roles) WHERE value = ?3)";

/// With the present as the second value bound.
const PERSON: &str = "SELECT name, roles, password IS NOT NULL, \
    (SELECT max(expires_ms) FROM invitation i WHERE i.tenant = p.tenant AND i.name = p.name AND expires_ms > ?2), \
    added_ms, added_by FROM person p";

fn person(row: &Row<'_>) -> rusqlite::Result<PersonRow> {
    Ok(PersonRow {
        name: row.get(0)?,
        roles: roles(row, 1)?,
        has_password: row.get(2)?,
        invited_until_ms: row.get(3)?,
        added_ms: row.get(4)?,
        added_by: row.get(5)?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<TokenRow> {
    Ok(TokenRow {
        id: row.get(0)?,
        name: row.get(1)?,
        label: row.get(2)?,
        roles: roles(row, 3)?,
        made_ms: row.get(4)?,
        expires_ms: row.get(5)?,
        used_ms: row.get(6)?,
    })
}

fn roles(row: &Row<'_>, column: usize) -> rusqlite::Result<BTreeSet<Role>> {
    json(&row.get::<_, String>(column)?)
}

fn written(roles: &BTreeSet<Role>) -> String {
    serde_json::to_string(roles).expect("JSON serializes")
}

fn find(db: &Connection, tenant: &str, name: &str, now: Millis) -> rusqlite::Result<Option<PersonRow>> {
    let sql = format!("{PERSON} WHERE tenant = ?1 AND name = ?3");
    db.prepare_cached(&sql)?.query_row(params![tenant, now, name], person).optional()
}

fn put(
    db: &Connection,
    tenant: &str,
    name: &str,
    roles: &BTreeSet<Role>,
    now: Millis,
    by: &str,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO person VALUES (?1, ?2, ?3, NULL, ?4, ?5) ON CONFLICT DO UPDATE SET roles = ?3";
    db.execute(sql, params![tenant, name, written(roles), now, by])?;
    Ok(())
}

/// Keeps a link for somebody who is there, in place of any other of theirs, and lets go of those nobody has used in time.
fn invite(
    db: &Connection,
    (tenant, name, roles): (&str, &str, &BTreeSet<Role>),
    link: Digest,
    now: Millis,
    by: &str,
) -> rusqlite::Result<()> {
    let sql = "DELETE FROM invitation WHERE (tenant = ?1 AND name = ?2) OR expires_ms <= ?3";
    db.execute(sql, params![tenant, name, now])?;
    let sql = "INSERT INTO invitation VALUES (?1, ?2, ?3, ?4, ?5)";
    db.execute(sql, params![link.0, tenant, name, now, now + INVITATION_MS_MAX])?;
    audit::append(db, now, Whose { tenant, user: None }, &Fact::Invite { person: name, roles, by })
}

fn invitation(db: &Connection, link: Digest, now: Millis) -> rusqlite::Result<Option<Invitation>> {
    let sql = "SELECT tenant, name, expires_ms FROM invitation WHERE digest = ?1 AND expires_ms > ?2";
    let read =
        |row: &Row<'_>| Ok(Invitation { tenant: row.get(0)?, name: row.get(1)?, expires_ms: row.get(2)? });
    db.prepare_cached(sql)?.query_row(params![link.0, now], read).optional()
}

/// Gives somebody a password, and ends what the one before, or a link, has let in or still would.
fn choose(db: &Connection, tenant: &str, name: &str, password: &str) -> rusqlite::Result<()> {
    let sql = "UPDATE person SET password = ?3 WHERE tenant = ?1 AND name = ?2";
    db.execute(sql, [tenant, name, password])?;
    db.execute("DELETE FROM invitation WHERE tenant = ?1 AND name = ?2", [tenant, name])?;
    db.execute("DELETE FROM session WHERE tenant = ?1 AND name = ?2", [tenant, name])?;
    Ok(())
}

/// Signs a browser in, and lets go of those whose time is over, and of the oldest where there are too many.
fn enter(db: &Connection, tenant: &str, name: &str, browser: Digest, now: Millis) -> rusqlite::Result<()> {
    db.execute("DELETE FROM session WHERE expires_ms <= ?1 OR used_ms <= ?2", [now, now - IDLE_MS_MAX])?;
    let sql = "DELETE FROM session WHERE digest IN (SELECT digest FROM session WHERE tenant = ?1 AND name = ?2 \
               ORDER BY made_ms DESC LIMIT -1 OFFSET ?3)";
    db.execute(sql, params![tenant, name, SESSIONS_MAX - 1])?;
    let sql = "INSERT INTO session VALUES (?1, ?2, ?3, ?4, ?4, ?5)";
    db.execute(sql, params![browser.0, tenant, name, now, now + SESSION_MS_MAX])?;
    Ok(())
}

fn session(db: &Connection, browser: Digest, now: Millis) -> rusqlite::Result<Option<LetIn>> {
    let sql = "SELECT s.tenant, s.name, p.roles, s.made_ms, s.used_ms FROM session s \
               JOIN person p ON p.tenant = s.tenant AND p.name = s.name WHERE s.digest = ?1";
    let found = db.prepare_cached(sql)?.query_row([browser.0], |row| {
        let (made_ms, used_ms): (Millis, Millis) = (row.get(3)?, row.get(4)?);
        let person = Person {
            tenant: row.get(0)?,
            name: row.get(1)?,
            roles: roles(row, 2)?,
            through: BROWSER.to_owned(),
        };
        Ok((!is_over(made_ms, used_ms, now)).then_some(LetIn { person, used_ms: Some(used_ms) }))
    });
    Ok(found.optional()?.flatten())
}

/// Refuses to do without somebody who is an operator, unless another one is there who can sign in as far as they can.
fn keep_an_operator(db: &Connection, tenant: &str, leaving: &PersonRow) -> Result<()> {
    if !leaving.roles.contains(&Role::Operator) {
        return Ok(());
    }
    let sql = format!(
        "SELECT 1 FROM person p WHERE tenant = ?1 AND name <> ?2 AND {HAS_ROLE} AND (password IS NOT NULL) >= ?4"
    );
    let stays = db.prepare_cached(&sql)?.exists(params![
        tenant,
        leaving.name,
        Role::Operator.name(),
        leaving.has_password
    ])?;
    if stays {
        return Ok(());
    }
    let message = format!("`{}` is the last operator of tenant {tenant} who can sign in", leaving.name);
    Err(Problem::new(Code::Forbidden, message)
        .hint("make somebody else an operator first, who has chosen a password")
        .into())
}

fn unknown(name: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is nobody called `{}`", short(name, 32)))
        .hint("see the names on the page \"People\", or with `countersign person list`")
}

fn unknown_token(id: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is no token {}", short(id, 40)))
        .hint("see your tokens on the page \"People\"")
}
