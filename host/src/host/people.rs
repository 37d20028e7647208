//! The half of the facade that says who is asking: people, and what they show to be let in.

use super::{Host, principal};
use crate::clock::Millis;
use crate::config::check_user;
use crate::digest::Digest;
use crate::people::password;
use crate::people::secret::{BrowserMark, INVITATION_MS_MAX, SESSION_MS_MAX, Secret, Token, USED_MS, order};
use crate::people::throttle::Budget;
use crate::people::{Person, Role, Scope, givable};
use crate::printable::short;
use crate::refusals::{Code, Problem, Result};
use crate::store::{Invitation, PersonRow, TokenRow};
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use tokio::sync::Semaphore;

/// How many passwords are hashed at a time in one process: each takes 19 MiB and a core.
pub const HASHES_MAX: usize = 2;
/// How many wait to be hashed before another one is refused.
pub const HASHES_WAITING_MAX: usize = 64;

/// How many failed sign-ins a minute have an entry in the record of each tenant.
pub const FAILURES_PER_MINUTE_MAX: u32 = 5;

static HASHING: Hashing = Hashing::new();

/// Whose turn it is to compute what takes long.
struct Hashing {
    turns: Semaphore,
    waiting: Semaphore,
}

impl Hashing {
    const fn new() -> Hashing {
        Hashing { turns: Semaphore::const_new(HASHES_MAX), waiting: Semaphore::const_new(HASHES_WAITING_MAX) }
    }

    /// Computes where no other request waits for the thread.
    async fn run<T: Send + 'static>(
        &'static self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let waiting = self.waiting.try_acquire().map_err(|_| {
            Problem::new(Code::RateLimitExceeded, "too many people sign in at once")
                .hint("try again in a few seconds")
        })?;
        let turn = self.turns.acquire().await.map_err(anyhow::Error::from)?;
        drop(waiting);
        let computed = tokio::task::spawn_blocking(move || {
            // Whoever asked may have gone, and the core is busy all the same.
            let _turn = turn;
            compute()
        });
        Ok(computed.await.map_err(anyhow::Error::from)?)
    }
}

/// A browser that has just signed in.
#[derive(Clone, Debug)]
pub struct Signed {
    /// What the browser shows from now on.
    pub secret: Secret,
    /// Whose browser it is.
    pub person: Person,
    /// When it is signed out at the latest.
    pub expires_ms: Millis,
}

/// A link that was made for somebody.
#[derive(Clone, Debug)]
pub struct Invited {
    /// For whom.
    pub name: String,
    /// What the link ends in. Nobody is told again.
    pub secret: Secret,
    /// Until when it can be used.
    pub expires_ms: Millis,
}

/// A token that was made.
#[derive(Clone, Debug)]
pub struct TokenMade {
    /// As it is listed from now on.
    pub row: TokenRow,
    /// The token itself. Nobody is told again.
    pub token: Token,
}

impl Host {
    /// Asks whether a yes of `by` to an approval would be taken as things stand.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, and what [`Host::decide`] refuses a yes with: `CAPABILITY_DENIED`, `ASK_AGAIN`, `POLICY_FORBIDS`, `FOUR_EYES`,
    /// `SELF_APPROVAL`.
    pub fn may_sign<'a>(&self, scope: impl Into<Scope<'a>>, id: &str, by: &str) -> Result<()> {
        let scope = scope.into();
        let stored = self.approval(scope, id)?;
        let live = self.live();
        self.may_leave(&live, &stored)?;
        self.may_approve(&live, scope.tenant, &stored, by)
    }

    // Letting people in

    /// The secret of a link by which `name` chooses the first password of the first tenant, as everything one can be. `None` once
    /// somebody there has one. Each link replaces the one before.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for a name that is none.
    pub async fn first_link(&self, name: &str) -> Result<Option<Secret>> {
        check_name(name)?;
        let secret = Secret::draw(self.clock());
        let (link, now) = (secret.digest(), self.clock().now());
        let is_first = self.store.invite_first(name.to_owned(), link, principal(), now).await?;
        Ok(is_first.then_some(secret))
    }

    /// Whom a link is for. Looking does not use it up.
    ///
    /// # Errors
    ///
    /// `LINK_EXPIRED` where it has been used or replaced, is too old, or never was.
    pub fn invited(&self, secret: &str) -> Result<Invitation> {
        let link = Secret::read(secret).ok_or_else(link_expired)?.digest();
        Ok(self.store.invitation(link, self.clock().now())?.ok_or_else(link_expired)?)
    }

    /// Uses a link up: whoever it is for has this password from now on. Every browser they were signed in with is signed out, and
    /// this one is signed in. `from` is the address the request came from, for the record, here as below.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for a password that is none, and the link can be used again; `LINK_EXPIRED`; `RATE_LIMIT_EXCEEDED`.
    pub async fn join(&self, from: Option<IpAddr>, secret: &str, password: &str) -> Result<Signed> {
        let Invitation { tenant, name, .. } = self.invited(secret)?;
        check_password(password, &tenant, &name).await?;
        let link = Secret::read(secret).ok_or_else(link_expired)?.digest();
        let hash = self.hash(password).await?;
        let (browser, now) = self.browser();
        let joined = self.store.join(link, hash, (browser.digest(), from), now).await?;
        Ok(signed(browser, joined.ok_or_else(link_expired)?, now))
    }

    /// Signs a browser in.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` where name and password do not fit, and nobody is told which; `RATE_LIMIT_EXCEEDED` where too many try at
    /// once.
    pub async fn sign_in(
        &self,
        from: Option<IpAddr>,
        tenant: &str,
        name: &str,
        password: &str,
    ) -> Result<Signed> {
        let kept = self.store.password(tenant, name)?;
        if !fits(password, kept.password.clone()).await? {
            // A name nobody has may be a password that was typed into the wrong field.
            match kept.is_known {
                true => self.failed(from, tenant, name, "a sign-in").await,
                false => tracing::warn!(
                    blame = "person",
                    from = address(from),
                    "a sign-in under an unknown name failed"
                ),
            }
            return Err(no_fit().into());
        }
        let (browser, now) = self.browser();
        let whose = (tenant.to_owned(), name.to_owned());
        let kept = kept.password.ok_or_else(no_fit)?;
        let person = self.store.sign_in(whose, kept, (browser.digest(), from), now).await?;
        Ok(signed(browser, person.ok_or_else(no_fit)?, now))
    }

    /// Writes down that somebody who is known did not know their password. Each is a line of the log; in the record there are so many
    /// a minute, as strangers could fill the disk with them, and each says how many there were no entries for.
    async fn failed(&self, from: Option<IpAddr>, tenant: &str, name: &str, what: &str) {
        tracing::warn!(
            blame = "person",
            from = address(from),
            "{what} as {name} of tenant {} failed",
            short(tenant, 32)
        );
        let now = self.clock().now();
        let Some(unrecorded) = self.failures.lock().expect("no holder panics").next(tenant, now) else {
            return;
        };
        let whose = (tenant.to_owned(), name.to_owned());
        if let Err(error) = self.store.failed_sign_in(whose, from, unrecorded, now).await {
            tracing::warn!(blame = "host", "a failed sign-in cannot be recorded: {error}");
        }
    }

    /// What a browser shows from now on that has signed in as somebody, so that it is told from those of strangers; see
    /// [`Host::knows_browser`]. `None` where they have no password.
    pub fn browser_mark(&self, tenant: &str, name: &str) -> Result<Option<String>> {
        let Some(kept) = self.store.password(tenant, name)?.password else { return Ok(None) };
        Ok(Some(BrowserMark::draw(self.clock(), tenant, name, &kept).text()))
    }

    /// Whether a browser has signed in before as this person, with the password they have now: what names it then. What is shown is
    /// hostile, and so are the names.
    pub fn knows_browser(&self, tenant: &str, name: &str, shown: &str) -> Result<Option<Digest>> {
        let Some(mark) = BrowserMark::read(shown) else { return Ok(None) };
        let kept = self.store.password(tenant, name)?.password;
        Ok(kept.filter(|kept| mark.fits(tenant, name, kept)).map(|_| mark.digest()))
    }

    /// Who is signed in with a browser, with the roles they have at this moment.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` where nobody is, or no longer.
    pub async fn session(&self, secret: &str) -> Result<Person> {
        let browser = Secret::read(secret).ok_or_else(signed_out)?.digest();
        let now = self.clock().now();
        let known = self.store.session(browser, now)?.ok_or_else(signed_out)?;
        if is_due(known.used_ms, now)
            && let Err(error) = self.store.use_session(browser, now).await
        {
            // On a full disk people can still look.
            tracing::warn!(blame = "host", "the use of a session cannot be written: {error}");
        }
        Ok(known.person)
    }

    /// Signs a browser out. One that was not signed in stays so.
    pub async fn sign_out(&self, from: Option<IpAddr>, secret: &str) -> Result<()> {
        match Secret::read(secret) {
            Some(secret) => self.store.sign_out((secret.digest(), from), self.clock().now()).await,
            None => Ok(()),
        }
    }

    /// Puts another password in place of `before`. Every browser of theirs is signed out, and this one signed in anew.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for a password that is none; `UNAUTHENTICATED` where nobody is signed in, or `before` is not their
    /// password; `RATE_LIMIT_EXCEEDED`.
    pub async fn change_password(
        &self,
        from: Option<IpAddr>,
        secret: &str,
        before: &str,
        after: &str,
    ) -> Result<Signed> {
        let session = Secret::read(secret).ok_or_else(signed_out)?.digest();
        let Person { tenant, name, .. } = self.session(secret).await?;
        check_password(after, &tenant, &name).await?;
        let kept = self.store.password(&tenant, &name)?.password;
        let wrong = || {
            Problem::new(Code::Unauthenticated, "that is not your password")
                .hint("type the one you sign in with; if you forgot it, ask an operator for a new link")
        };
        if !fits(before, kept.clone()).await? {
            self.failed(from, &tenant, &name, "a change of the password").await;
            return Err(wrong().into());
        }
        let hashes = (kept.ok_or_else(wrong)?, self.hash(after).await?);
        let (browser, now) = self.browser();
        let changed = self.store.change_password(session, hashes, (browser.digest(), from), now).await?;
        Ok(signed(browser, changed.ok_or_else(signed_out)?, now))
    }

    /// Whose a token is, with those of its roles they have at this moment.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` where it is none, or no longer.
    pub async fn token(&self, text: &str) -> Result<Person> {
        let Token { id, secret } = Token::read(text).ok_or_else(no_token)?;
        let now = self.clock().now();
        let known = self.store.token(&id, secret.digest(), now)?.ok_or_else(no_token)?;
        if is_due(known.used_ms, now)
            && let Err(error) = self.store.use_token(id, now).await
        {
            tracing::warn!(blame = "host", "the use of a token cannot be written: {error}");
        }
        Ok(known.person)
    }

    // People

    /// Everybody of a tenant, by name.
    pub fn people(&self, tenant: &str) -> Result<Vec<PersonRow>> {
        self.store.people(tenant, self.clock().now())
    }

    /// Whether somebody other than `but` can approve: has the role, and a password to sign in with.
    pub fn has_other_approver(&self, tenant: &str, but: &str) -> Result<bool> {
        self.store.has_other_approver(tenant, but)
    }

    /// Makes a link by which somebody chooses a password, in place of any other of theirs. With `roles` they may be new; without,
    /// they are there, and keep theirs.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for a name that is none, for no role at all, and for other roles than somebody has; `UNKNOWN_ID`.
    pub async fn invite(
        &self,
        tenant: &str,
        name: &str,
        roles: Option<BTreeSet<Role>>,
        by: &str,
    ) -> Result<Invited> {
        check_name(tenant)?;
        check_name(name)?;
        roles.as_ref().map(check_roles).transpose()?;
        let (secret, now) = self.browser();
        let whose = (tenant.to_owned(), name.to_owned());
        self.store.invite(whose, roles, secret.digest(), by.to_owned(), now).await?;
        Ok(Invited { name: name.to_owned(), secret, expires_ms: now + INVITATION_MS_MAX })
    }

    /// Gives somebody other roles, which they have at once, in every browser and through every token.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `INVALID_PARAMETER` for no role at all; `FORBIDDEN` where nobody would be left to add people.
    pub async fn set_roles(
        &self,
        tenant: &str,
        name: &str,
        roles: &BTreeSet<Role>,
        by: &str,
    ) -> Result<PersonRow> {
        check_roles(roles)?;
        let now = self.clock().now();
        self.store.set_roles((tenant, name), roles, by, now).await?;
        self.store.somebody(tenant, name, now)
    }

    /// Removes somebody: their links, browsers and tokens let nobody in from now on. Their intents and their mail stay.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`; `FORBIDDEN` where nobody would be left to add people.
    pub async fn remove_person(&self, tenant: &str, name: &str, by: &str) -> Result<()> {
        self.store.remove_person(tenant, name, by, self.clock().now()).await
    }

    // Tokens

    /// Makes a token for whoever asks, good for `days` and for `roles`; where none are named, for all they have here but the one that
    /// signs: a program decides what leaves only where that was said.
    ///
    /// # Errors
    ///
    /// `INVALID_PARAMETER` for a label or a number of days that is none; `FORBIDDEN` for a role they do not have here.
    pub async fn make_token(
        &self,
        person: &Person,
        label: &str,
        roles: Option<BTreeSet<Role>>,
        days: u32,
    ) -> Result<TokenMade> {
        let now = self.clock().now();
        let unnamed = || person.roles.iter().copied().filter(|role| *role != Role::Approver).collect();
        let roles = roles.unwrap_or_else(unnamed);
        let mut expires_ms = order(label, &roles, &givable(&person.roles), days, now)?;
        // Made through a token, it ends with that one: what leaks for a day must not become good for a year.
        let own = Scope { tenant: &person.tenant, user: Some(&person.name) };
        if let Some(through) = self.store.tokens(own)?.iter().find(|token| token.id == person.through) {
            expires_ms = expires_ms.min(through.expires_ms);
        }
        let token = Token::draw(self.clock());
        let row = TokenRow {
            id: token.id.clone(),
            name: person.name.clone(),
            label: label.to_owned(),
            roles,
            made_ms: now,
            expires_ms,
            used_ms: None,
        };
        let (secret, by) = (token.secret.digest(), person.by());
        self.store.make_token(person.tenant.clone(), row.clone(), secret, by).await?;
        Ok(TokenMade { row, token })
    }

    /// The tokens of one person, or of everybody in a tenant, those that have ended too; the oldest first.
    pub fn tokens<'a>(&self, scope: impl Into<Scope<'a>>) -> Result<Vec<TokenRow>> {
        self.store.tokens(scope)
    }

    /// Ends a token at once.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_ID`, also for a token outside the scope.
    pub async fn revoke_token(&self, scope: impl Into<Scope<'_>>, id: &str, by: &str) -> Result<()> {
        self.store.revoke_token(scope, id, by, self.clock().now()).await
    }

    /// A secret nobody has yet, and the present.
    fn browser(&self) -> (Secret, Millis) {
        (Secret::draw(self.clock()), self.clock().now())
    }

    async fn hash(&self, password: &str) -> Result<String> {
        let (password, salt) = (password.to_owned(), self.clock().random());
        HASHING.run(move || password::hash(&password, salt)).await?.map_err(Into::into)
    }
}

/// Failed sign-ins that have an entry in the record, and those of each tenant that have none.
pub(super) struct Failures {
    budget: Budget<String>,
    unrecorded: HashMap<String, u32>,
}

impl Default for Failures {
    fn default() -> Failures {
        Failures { budget: Budget::new(FAILURES_PER_MINUTE_MAX), unrecorded: HashMap::new() }
    }
}

impl Failures {
    /// One more in a tenant that is there. Where it has an entry, how many had none since the last.
    fn next(&mut self, tenant: &str, now: Millis) -> Option<u32> {
        match self.budget.take(tenant.to_owned(), now).retry_after {
            None => Some(self.unrecorded.remove(tenant).unwrap_or_default()),
            Some(_) => {
                let count = self.unrecorded.entry(tenant.to_owned()).or_default();
                *count = count.saturating_add(1);
                None
            }
        }
    }
}

/// An address as logs have it.
fn address(from: Option<IpAddr>) -> String {
    from.map_or_else(|| "-".to_owned(), |from| from.to_canonical().to_string())
}

/// Whether it may be the password of this person.
async fn check_password(password: &str, tenant: &str, name: &str) -> Result<()> {
    let (password, tenant, name) = (password.to_owned(), tenant.to_owned(), name.to_owned());
    let checked = tokio::task::spawn_blocking(move || password::check(&password, &[&tenant, &name]));
    Ok(checked.await.map_err(anyhow::Error::from)??)
}

/// Whether a password is the one `kept` was made of.
async fn fits(password: &str, kept: Option<String>) -> Result<bool> {
    let password = password.to_owned();
    HASHING.run(move || password::fits(&password, kept.as_deref())).await
}

fn signed(secret: Secret, person: Person, now: Millis) -> Signed {
    Signed { secret, person, expires_ms: now + SESSION_MS_MAX }
}

/// Whether a use has to be written.
fn is_due(used_ms: Option<Millis>, now: Millis) -> bool {
    used_ms.is_none_or(|used_ms| now - used_ms >= USED_MS)
}

fn check_name(name: &str) -> Result<(), Problem> {
    check_user(name).map_err(|problem| Problem { code: Code::InvalidParameter, ..problem })
}

fn check_roles(roles: &BTreeSet<Role>) -> Result<(), Problem> {
    if roles.is_empty() {
        let all: Vec<_> = Role::ALL.iter().map(|role| role.name()).collect();
        return Err(Problem::new(Code::InvalidParameter, "a person has at least one role")
            .hint(format!("name some of: {}; or remove the person", all.join(", "))));
    }
    Ok(())
}

fn no_fit() -> Problem {
    Problem::new(Code::Unauthenticated, "name and password do not fit")
        .hint("try again; with a forgotten password, ask an operator for a new link")
}

fn signed_out() -> Problem {
    Problem::new(Code::Unauthenticated, "nobody is signed in with this browser, or no longer").hint("sign in")
}

fn no_token() -> Problem {
    Problem::new(Code::Unauthenticated, "the token is unknown, has expired or was revoked")
        .hint("make another on the page \"People\"")
}

fn link_expired() -> Problem {
    Problem::new(Code::LinkExpired, "the link has been used or replaced, or is older than 24 hours")
        .hint("sign in if you used it yourself; otherwise ask an operator for a new one")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusals::Error;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::sync::{Arc, Condvar, Mutex};

    #[tokio::test]
    async fn two_passwords_are_hashed_at_a_time_so_many_wait_and_one_more_is_refused() {
        static OWN: Hashing = Hashing::new();
        let (begun, begins) = mpsc::channel();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let running = Arc::new(AtomicUsize::new(0));
        let compute = || {
            let (begun, gate, running) = (begun.clone(), gate.clone(), running.clone());
            OWN.run(move || {
                let now = running.fetch_add(1, Ordering::SeqCst) + 1;
                begun.send(()).unwrap();
                let (open, opens) = &*gate;
                drop(opens.wait_while(open.lock().unwrap(), |open| !*open).unwrap());
                running.fetch_sub(1, Ordering::SeqCst);
                now
            })
        };
        let (admitted, over) = (HASHES_MAX + HASHES_WAITING_MAX, 10);
        let tasks: Vec<_> = (0..admitted + over).map(|_| tokio::spawn(compute())).collect();
        // Every task is polled once before this one goes on, and none comes to its end while the gate is closed.
        while !tasks[admitted..].iter().all(tokio::task::JoinHandle::is_finished) {
            tokio::task::yield_now().await;
        }
        assert!(tasks[..admitted].iter().all(|task| !task.is_finished()));
        (0..HASHES_MAX).for_each(|_| begins.recv().unwrap());
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        for (number, task) in tasks.into_iter().enumerate() {
            match task.await.unwrap() {
                Ok(at_once) => assert!(number < admitted && at_once <= HASHES_MAX),
                Err(Error::Refused(problem)) => assert_eq!(problem.code, Code::RateLimitExceeded),
                Err(Error::Fault(fault)) => panic!("{fault:#}"),
            }
        }
    }
}
