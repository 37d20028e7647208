//! What every form carries: a proof that a page of this session offered exactly this deed.

use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The key of one session. It never leaves the server: the session's secret is in the cookie alone, and no page holds it.
#[derive(Clone)]
pub struct Seal(Hmac<Sha256>);

impl Seal {
    /// The seal of a session.
    pub fn new(secret: &str) -> Seal {
        Seal(Hmac::new_from_slice(secret.as_bytes()).expect("a key of any length will do"))
    }

    /// The proof for a form that is sent to `path`, which names the deed and what it is done to, and that is about `digest`, empty
    /// where it is about none.
    pub fn proof(&self, path: &str, digest: &str) -> String {
        let bytes = self.over(path, digest).finalize().into_bytes();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether a proof is the one for this form. Takes as long for any wrong one.
    pub fn fits(&self, path: &str, digest: &str, proof: &str) -> bool {
        let Some(bytes) = unhex(proof) else { return false };
        self.over(path, digest).verify_slice(&bytes).is_ok()
    }

    fn over(&self, path: &str, digest: &str) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in ["countersign/form/v1", path, digest] {
            // Each with its length before it, so that no two forms share a proof.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

/// 64 hexadecimal digits in lower case, and nothing else.
fn unhex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_good_for_its_session_its_deed_and_its_digest_alone() {
        let seal = Seal::new("a session");
        let proof = seal.proof("/approvals/appr_1/approve", "d1");
        assert!(seal.fits("/approvals/appr_1/approve", "d1", &proof));
        for (seal, path, digest) in [
            (&Seal::new("another session"), "/approvals/appr_1/approve", "d1"),
            (&seal, "/approvals/appr_2/approve", "d1"),
            (&seal, "/approvals/appr_1/decline", "d1"),
            (&seal, "/approvals/appr_1/approve", "d2"),
            (&seal, "/approvals/appr_1/approve", ""),
            (&seal, "/approvals/appr_1/approved", "1"),
        ] {
            assert!(!seal.fits(path, digest, &proof), "{path} {digest}");
        }
        let upper = proof.to_uppercase();
        for wrong in ["", "é", &proof[1..], &proof[..62], &format!("{proof}00"), upper.as_str()] {
            assert!(!seal.fits("/approvals/appr_1/approve", "d1", wrong), "{wrong}");
        }
    }
}
