//! Passwords: what may be one, and the slow hash of it that is kept. Both take their time on purpose; callers keep them off the threads
//! that answer.

use crate::refusals::{Code, Problem};
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, PasswordHash, Version};

/// The shortest password, in bytes.
pub const PASSWORD_BYTES_MIN: usize = 12;
/// The longest password, in bytes.
pub const PASSWORD_BYTES_MAX: usize = 1024;
/// How much of a password is judged by how common it is, in characters.
const JUDGED_CHARS_MAX: usize = 100;
/// The memory of one hash, in KiB: OWASP's advice for argon2id, with [`PASSES`] passes and one lane.
pub const HASH_KIB: u32 = 19_456;
/// How often that memory is gone over.
pub const PASSES: u32 = 2;

/// The hash of a password nobody has: compared with where there is no other, so that an unknown name takes as long as a known one.
const NOBODYS: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$Y291bnRlcnNpZ25ub2JvZA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whether it may be somebody's password. `theirs` is what everybody knows of them, such as their name.
///
/// # Errors
///
/// `INVALID_PARAMETER`, saying how long one is, or why this one is one of the first anybody would try.
pub fn check(password: &str, theirs: &[&str]) -> Result<(), Problem> {
    let bytes = password.len();
    if (PASSWORD_BYTES_MIN..=PASSWORD_BYTES_MAX).contains(&bytes) {
        return uncommon(password, theirs);
    }
    let (what, hint) = match bytes < PASSWORD_BYTES_MIN {
        true => ("too short", "take several words, or let a password manager choose"),
        false => ("too long", "take a shorter one"),
    };
    let message = format!(
        "the password is {what}: it has {bytes} bytes, and {PASSWORD_BYTES_MIN} to {PASSWORD_BYTES_MAX} are wanted"
    );
    Err(Problem::new(Code::InvalidParameter, message).hint(hint))
}

/// Refuses what is found early by whoever tries what others have chosen: words of lists, names, keys side by side, repeats and dates,
/// as zxcvbn counts them. It looks at the first 100 characters, which bounds what a long password costs.
fn uncommon(password: &str, theirs: &[&str]) -> Result<(), Problem> {
    let known: Vec<_> = theirs.iter().chain(&["countersign"]).copied().collect();
    let judged: String = password.chars().take(JUDGED_CHARS_MAX).collect();
    let found = zxcvbn::zxcvbn(&judged, &known);
    if found.score() >= zxcvbn::Score::Three {
        return Ok(());
    }
    let why =
        found.feedback().and_then(|said| said.warning()).map(|why| format!(": {why}")).unwrap_or_default();
    let message = format!("the password is easily guessed{}", why.trim_end_matches('.'));
    Err(Problem::new(Code::InvalidParameter, message)
        .hint("take several words that do not belong together, or let a password manager choose"))
}

/// What is kept of a password, as a PHC string. `salt` is drawn anew each time.
///
/// # Errors
///
/// Where the memory for it is not there.
pub fn hash(password: &str, salt: [u8; 16]) -> anyhow::Result<String> {
    let hashed: PasswordHash = argon2()?
        .hash_password_with_salt(password.as_bytes(), &salt)
        .map_err(|error| anyhow::anyhow!("the password cannot be hashed: {error}"))?;
    Ok(hashed.to_string())
}

/// Whether `password` is the one `kept` was made of. Without `kept` it is not, and finding out takes as long. What is shown is
/// hostile: one that is too long is no password, and costs no more than one that is.
pub fn fits(password: &str, kept: Option<&str>) -> bool {
    let shown = if password.len() > PASSWORD_BYTES_MAX { "" } else { password };
    let Ok(hash) = PasswordHash::new(kept.unwrap_or(NOBODYS)) else { return false };
    let same = argon2().is_ok_and(|argon2| argon2.verify_password(shown.as_bytes(), &hash).is_ok());
    same && kept.is_some() && shown.len() == password.len()
}

fn argon2() -> anyhow::Result<Argon2<'static>> {
    let params =
        Params::new(HASH_KIB, PASSES, 1, None).map_err(|error| anyhow::anyhow!("argon2: {error}"))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_has_12_to_1024_bytes() {
        let random = "mUv8-qLd2~wXe5%Kp1^";
        let long = random.repeat(60);
        for good in [&random[..12], &long[..1024], "größtes Übel"] {
            assert_eq!(check(good, &[]), Ok(()), "{good}");
        }
        for bad in [String::new(), random[..11].to_owned(), "é".repeat(5), "x".repeat(1025)] {
            let problem = check(&bad, &[]).unwrap_err();
            assert_eq!(problem.code, Code::InvalidParameter);
            assert!(problem.message.contains("12 to 1024") && problem.hint.is_some());
            assert!(bad.is_empty() || !problem.message.contains(&bad));
        }
    }

    #[test]
    fn what_anybody_would_try_first_is_no_password() {
        for common in [
            "password1234",
            "passwordpassword",
            "Password123!",
            "P@ssw0rd1234",
            "123456789012",
            "qwertyuiop12",
            "aaaaaaaaaaaa",
            "            ",
            "abcdefghijkl",
            "countersign1",
            "Countersign2026",
            "adalovelace1",
            "letmeinletmein",
            "administrator",
            "iloveyou1234",
        ] {
            let problem = check(common, &["adalovelace", "main"]).unwrap_err();
            assert!(problem.message.contains("easily guessed"), "{common}: {}", problem.message);
            assert!(!problem.message.contains(common) && problem.hint.is_some());
        }
        for good in ["correct horse battery staple", "correct horse battery", "tulip-anvil-92-marsh"] {
            assert_eq!(check(good, &["ada"]), Ok(()), "{good}");
        }
    }

    #[test]
    fn a_password_made_to_be_judged_slowly_is_not() {
        let began = tokio::time::Instant::now();
        for piece in ["a", "ab", "1", "aA@4", "qwe", "19", "é", "\u{202e}"] {
            let _ = check(&piece.repeat(PASSWORD_BYTES_MAX / piece.len()), &["ann"]);
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
    }

    #[test]
    fn only_the_same_password_fits_and_no_two_hashes_are_alike() {
        let kept = hash("correct horse battery", [1; 16]).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert!(!kept.contains("correct"));
        assert!(fits("correct horse battery", Some(&kept)));
        for other in ["", "correct horse batterx", "Correct horse battery", "correct horse battery "] {
            assert!(!fits(other, Some(&kept)), "{other}");
        }
        assert_ne!(hash("correct horse battery", [2; 16]).unwrap(), kept);
    }

    #[test]
    fn where_no_password_is_kept_none_fits_and_the_same_is_computed() {
        assert!(!fits("", None));
        assert!(!fits("correct horse battery", None));
        let costs = |text: &str| {
            let hash = PasswordHash::new(text).unwrap();
            (
                hash.algorithm,
                hash.version,
                hash.params.to_string(),
                hash.hash.unwrap().len(),
                hash.salt.unwrap().len(),
            )
        };
        assert_eq!(costs(NOBODYS), costs(&hash("correct horse battery", [1; 16]).unwrap()));
    }

    #[test]
    fn what_is_too_long_is_no_password_even_where_nothing_is_kept_of_it() {
        // A hash of the empty password, which nobody can have chosen.
        let kept = hash("", [3; 16]).unwrap();
        assert!(!fits(&"x".repeat(PASSWORD_BYTES_MAX + 1), Some(&kept)));
        assert!(!fits("correct horse battery", Some("damaged")));
    }
}
