//! Components, agents and grants.

use super::{Store, audit, json, outbox, touch};
use crate::agent::{Installed, Manifest, Package};
use crate::approval::Action;
use crate::audit::{Fact, Whose};
use crate::authority::{Capability, Scopes};
use crate::clock::Millis;
use crate::digest::Digest;
use crate::refusals::{Code, Problem, Result};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;

/// An agent as listed: what is installed, and what one user has granted it.
#[derive(Clone, Debug)]
pub struct AgentRow {
    /// What is installed.
    pub installed: Installed,
    /// What the user has granted to this digest.
    pub grants: BTreeSet<Capability>,
}

/// How many manifests are remembered.
const MANIFESTS: usize = 128;

/// Manifests by the digest of their component, each with the component's size. The digest covers both, so they never change; on disk
/// they lie behind the component, every page of which would have to be read to come to them.
#[derive(Default)]
pub(super) struct Manifests(Mutex<HashMap<Digest, (Manifest, u64)>>);

impl Manifests {
    fn get(&self, digest: Digest) -> Option<(Manifest, u64)> {
        self.0.lock().expect("no holder panics").get(&digest).cloned()
    }

    fn keep(&self, digest: Digest, manifest: &Manifest, bytes: u64) {
        let mut kept = self.0.lock().expect("no holder panics");
        if kept.len() >= MANIFESTS {
            kept.clear();
        }
        kept.insert(digest, (manifest.clone(), bytes));
    }
}

impl Store {
    /// Installs a component, in place of whatever had its id. With `keep_grants`, what the digest before had been
    /// granted is granted to this one, as far as its manifest declares it.
    pub async fn install(
        &self,
        tenant: &str,
        package: Package,
        manifest: &Manifest,
        keep_grants: bool,
        now: Millis,
        by: &str,
    ) -> Result<()> {
        let (tenant, by, manifest) = (tenant.to_owned(), by.to_owned(), manifest.clone());
        self.write(move |db| {
            touch(db, now)?;
            let digest = package.digest.0;
            let text = serde_json::to_string(&manifest).expect("JSON serializes");
            // The bytes carry the manifest: whoever has the digest has both.
            db.execute(
                "INSERT INTO component VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![digest, package.bytes, text],
            )?;
            let before: Option<[u8; 32]> = db
                .query_row(
                    "SELECT digest FROM agent WHERE tenant = ?1 AND id = ?2",
                    params![tenant, manifest.id],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(before) = before.filter(|before| keep_grants && *before != digest) {
                db.execute(
                    "INSERT OR IGNORE INTO capability_grant \
                     SELECT tenant, user, agent, ?1, capability, ?2, ?3 FROM capability_grant \
                     WHERE tenant = ?4 AND agent = ?5 AND digest = ?6",
                    params![digest, now, by, tenant, manifest.id, before],
                )?;
            }
            db.execute(
                "INSERT INTO agent VALUES (?1, ?2, ?3, ?4, ?5) \
                 ON CONFLICT DO UPDATE SET digest = ?3, installed_ms = ?4, installed_by = ?5",
                params![tenant, manifest.id, digest, now, by],
            )?;
            let installed = Fact::Install { agent: &manifest.id, digest: package.digest, by: &by };
            audit::append(db, now, Whose { tenant: &tenant, user: None }, &installed)?;
            sweep(db)?;
            Ok(())
        })
        .await
    }

    /// The agent `id`, with what `user` has granted it.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`.
    pub fn agent(&self, tenant: &str, user: &str, id: &str) -> Result<AgentRow> {
        self.read(|db| {
            let sql = "SELECT digest, installed_ms, installed_by FROM agent WHERE tenant = ?1 AND id = ?2";
            let mut statement = db.prepare_cached(sql)?;
            let known = |row: &Row<'_>| {
                let digest = Digest(row.get(0)?);
                let Some((manifest, bytes)) = self.manifests.get(digest) else { return Ok(None) };
                let (installed_ms, installed_by) = (row.get(1)?, row.get(2)?);
                Ok(Some(Installed { manifest, digest, bytes, installed_ms, installed_by }))
            };
            let installed = match statement.query_row([tenant, id], known).optional()? {
                Some(Some(known)) => known,
                // In one statement: what is installed may be replaced meanwhile.
                Some(None) => {
                    let sql = format!("{SELECT} WHERE tenant = ?1 AND id = ?2");
                    let found = db.prepare_cached(&sql)?.query_row([tenant, id], installed).optional()?;
                    let found = found.ok_or_else(|| unknown(id))?;
                    self.manifests.keep(found.digest, &found.manifest, found.bytes);
                    found
                }
                None => return Err(unknown(id).into()),
            };
            Ok(AgentRow {
                grants: grants(db, tenant, user, &installed.manifest, installed.digest)?,
                installed,
            })
        })
    }

    /// Who installed the agent `id`, as it is now.
    pub fn installer(&self, tenant: &str, id: &str) -> Result<Option<String>> {
        self.read(|db| {
            let sql = "SELECT installed_by FROM agent WHERE tenant = ?1 AND id = ?2";
            Ok(db.prepare_cached(sql)?.query_row([tenant, id], |row| row.get(0)).optional()?)
        })
    }

    /// All agents, by id.
    pub fn agents(&self, tenant: &str, user: &str) -> Result<Vec<AgentRow>> {
        self.read(|db| {
            let mut statement = db.prepare(&format!("{SELECT} WHERE tenant = ?1 ORDER BY id"))?;
            let all = statement.query_map([tenant], installed)?.collect::<Result<Vec<_>, _>>()?;
            all.into_iter()
                .map(|installed| {
                    let grants = grants(db, tenant, user, &installed.manifest, installed.digest)?;
                    Ok(AgentRow { grants, installed })
                })
                .collect()
        })
    }

    /// Grants capabilities to the digest that is installed now.
    pub async fn grant(
        &self,
        (tenant, user, id): (&str, &str, &str),
        digest: Digest,
        capabilities: &[Capability],
        now: Millis,
        by: &str,
    ) -> Result<()> {
        let key = (tenant.to_owned(), user.to_owned(), id.to_owned(), by.to_owned());
        let capabilities = capabilities.to_vec();
        self.write(move |db| {
            touch(db, now)?;
            let (tenant, user, agent, by) = key;
            for capability in &capabilities {
                db.execute(
                    "INSERT OR IGNORE INTO capability_grant VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![tenant, user, agent, digest.0, capability.name(), now, by],
                )?;
            }
            if !capabilities.is_empty() {
                let whose = Whose { tenant: &tenant, user: Some(&user) };
                let granted = Fact::Grant { agent: &agent, digest, capabilities: &capabilities, by: &by };
                audit::append(db, now, whose, &granted)?;
            }
            Ok(())
        })
        .await
    }

    /// Takes capabilities away from every digest of an agent, and cancels what was signed under them and has not left. Gives the
    /// intents that can be picked up, because what they wait for will not leave.
    pub async fn revoke(
        &self,
        (tenant, user, id): (&str, &str, &str),
        capabilities: &[Capability],
        now: Millis,
        by: &str,
    ) -> Result<Vec<String>> {
        let key = (tenant.to_owned(), user.to_owned(), id.to_owned(), by.to_owned());
        let capabilities = capabilities.to_vec();
        self.write(move |db| {
            touch(db, now)?;
            let (tenant, user, id, by) = key;
            for capability in &capabilities {
                db.execute(
                    "DELETE FROM capability_grant \
                     WHERE tenant = ?1 AND user = ?2 AND agent = ?3 AND capability = ?4",
                    params![tenant, user, id, capability.name()],
                )?;
            }
            let whose = Whose { tenant: &tenant, user: Some(&user) };
            audit::append(db, now, whose, &Fact::Deny { agent: &id, capabilities: &capabilities, by: &by })?;
            if !capabilities.contains(&Capability::MessagesSend) {
                return Ok(Vec::new());
            }
            super::decisions::cancel_approved_of_agent(db, &tenant, &user, &id, now)?;
            Ok(outbox::cancel_of_agent(db, (&tenant, &user, &id), now)?)
        })
        .await
    }

    /// Removes an agent and its grants.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `AGENT_IN_USE` while intents of it have not ended.
    pub async fn remove(&self, tenant: &str, id: &str, now: Millis, by: &str) -> Result<()> {
        let (tenant, id, by) = (tenant.to_owned(), id.to_owned(), by.to_owned());
        self.write(move |db| {
            let open: i64 = db.query_row(
                "SELECT count(*) FROM intent WHERE tenant = ?1 AND agent = ?2 AND status IN ('running', 'waiting', 'sending', 'blocked')",
                params![tenant, id],
                |row| row.get(0),
            )?;
            if open > 0 {
                let intents = if open == 1 { "intent" } else { "intents" };
                return Err(Problem::new(Code::AgentInUse, format!("agent {id} has {open} unfinished {intents}"))
                    .hint("finish or cancel them first, those of other users too: `countersign intent list`")
                    .into());
            }
            if db.execute("DELETE FROM agent WHERE tenant = ?1 AND id = ?2", params![tenant, id])? == 0 {
                return Err(unknown(&id).into());
            }
            db.execute("DELETE FROM capability_grant WHERE tenant = ?1 AND agent = ?2", params![tenant, id])?;
            let removed = Fact::Remove { agent: &id, by: &by };
            audit::append(db, now, Whose { tenant: &tenant, user: None }, &removed)?;
            sweep(db)?;
            Ok(())
        })
        .await
    }

    /// Whether a component is kept: while an agent is installed at its digest, or an intent of it goes on.
    pub fn keeps(&self, digest: Digest) -> Result<bool> {
        self.read(|db| {
            Ok(db.prepare_cached("SELECT 1 FROM component WHERE digest = ?1")?.exists([digest.0])?)
        })
    }

    /// The bytes of a component that is kept.
    pub fn component(&self, digest: Digest) -> Result<Vec<u8>> {
        self.read(|db| {
            let sql = "SELECT bytes FROM component WHERE digest = ?1";
            Ok(db.query_row(sql, [digest.0], |row| row.get(0))?)
        })
    }

    /// What the agent of a run may do now, at the digest the run started with.
    pub fn authority(
        &self,
        tenant: &str,
        user: &str,
        agent: &str,
        digest: Digest,
    ) -> Result<(BTreeSet<Capability>, Scopes)> {
        self.read(|db| {
            let manifest = match self.manifests.get(digest) {
                Some((manifest, _)) => manifest,
                None => {
                    let sql = "SELECT manifest, length(bytes) FROM component WHERE digest = ?1";
                    let (manifest, bytes) = db.prepare_cached(sql)?.query_row([digest.0], |row| {
                        Ok((json::<Manifest>(&row.get::<_, String>(0)?)?, row.get::<_, i64>(1)? as u64))
                    })?;
                    self.manifests.keep(digest, &manifest, bytes);
                    manifest
                }
            };
            debug_assert_eq!(manifest.id, agent);
            Ok((grants(db, tenant, user, &manifest, digest)?, manifest.scopes))
        })
    }

    /// Whether the user of a message grants its agent, at the build that asked, what the message needs. The build itself may be
    /// gone: a message outlives the run that sent it.
    pub fn is_granted(&self, agent: &str, action: &Action) -> Result<bool> {
        self.read(|db| Ok(is_granted(db, agent, action)?))
    }
}

/// The same, within a transaction.
pub(super) fn is_granted(db: &Connection, agent: &str, action: &Action) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM capability_grant \
               WHERE tenant = ?1 AND user = ?2 AND agent = ?3 AND digest = ?4 AND capability = ?5";
    let key = params![action.tenant, action.user, agent, action.agent.0, action.capability.name()];
    db.prepare_cached(sql)?.exists(key)
}

const SELECT: &str = "SELECT manifest, digest, length(bytes), installed_ms, installed_by \
                      FROM agent JOIN component USING (digest)";

fn installed(row: &Row<'_>) -> rusqlite::Result<Installed> {
    Ok(Installed {
        manifest: json(&row.get::<_, String>(0)?)?,
        digest: Digest(row.get(1)?),
        bytes: row.get::<_, i64>(2)? as u64,
        installed_ms: row.get(3)?,
        installed_by: row.get(4)?,
    })
}

/// What a user has granted to this build, as far as its manifest declares it: a kept grant must not outgrow it.
fn grants(
    db: &Connection,
    tenant: &str,
    user: &str,
    manifest: &Manifest,
    digest: Digest,
) -> rusqlite::Result<BTreeSet<Capability>> {
    let sql = "SELECT capability FROM capability_grant WHERE tenant = ?1 AND user = ?2 AND agent = ?3 AND digest = ?4";
    let mut statement = db.prepare_cached(sql)?;
    let names =
        statement.query_map(params![tenant, user, manifest.id, digest.0], |row| row.get::<_, String>(0))?;
    let granted = names.map(|name| super::named(name?)).collect::<rusqlite::Result<BTreeSet<_>>>()?;
    Ok(granted.into_iter().filter(|capability| manifest.capabilities.contains(capability)).collect())
}

/// Deletes components nobody needs any more: no agent is installed at their digest, and no intent of it goes on.
fn sweep(db: &Connection) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM component WHERE digest NOT IN (SELECT digest FROM agent) \
         AND NOT EXISTS (SELECT 1 FROM intent WHERE intent.digest = component.digest \
                         AND status IN ('running', 'waiting', 'sending', 'blocked'))",
        [],
    )?;
    Ok(())
}

fn unknown(id: &str) -> Problem {
    Problem::new(Code::UnknownId, format!("there is no agent {id}"))
        .hint("`countersign agent list` shows them all")
}
