//! A message of any size, in bounded memory.

use std::collections::VecDeque;

/// The largest message that is kept whole, in bytes. Of a larger one its beginning and its end are kept.
pub const MESSAGE_BYTES_MAX: u64 = 25 * 1024 * 1024;
/// How much of the end of a larger one is kept, in bytes: texts may stand behind attachments.
const END_BYTES_MAX: usize = 1024 * 1024;
const START_BYTES_MAX: usize = MESSAGE_BYTES_MAX as usize - END_BYTES_MAX;

/// Takes a message piece by piece.
#[derive(Default)]
pub struct Kept {
    start: Vec<u8>,
    end: VecDeque<Vec<u8>>,
    end_bytes: usize,
    is_cut: bool,
}

impl Kept {
    pub fn push(&mut self, piece: &[u8]) {
        if self.end.is_empty() && self.start.len() + piece.len() <= START_BYTES_MAX {
            self.start.extend(piece);
            return;
        }
        self.end.push_back(piece.to_vec());
        self.end_bytes += piece.len();
        while let Some(first) = self.end.front().filter(|first| self.end_bytes - first.len() >= END_BYTES_MAX)
        {
            self.end_bytes -= first.len();
            self.end.pop_front();
            self.is_cut = true;
        }
    }

    /// The bytes, and whether they are all there are. What was left out was whole lines.
    pub fn finish(self) -> (Vec<u8>, bool) {
        let Kept { start: mut bytes, end, is_cut, .. } = self;
        let end: Vec<u8> = end.into_iter().flatten().collect();
        match memchr::memchr2(b'\r', b'\n', &end).filter(|_| is_cut) {
            Some(line_end) => {
                bytes.push(b'\n');
                bytes.extend(&end[line_end + 1..]);
            }
            None => bytes.extend(end),
        }
        (bytes, !is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_keeps_its_beginning_and_its_end() {
        let mut kept = Kept::default();
        kept.push(b"first\n");
        for _ in 0..400 {
            kept.push(&[b"x".repeat(99_999), b"\n".to_vec()].concat());
        }
        kept.push(b"last\n");
        let (bytes, whole) = kept.finish();
        assert!(!whole && bytes.len() as u64 <= MESSAGE_BYTES_MAX);
        assert!(bytes.starts_with(b"first\n") && bytes.ends_with(b"x\nlast\n"));
        let mut kept = Kept::default();
        kept.push(&vec![b'a'; START_BYTES_MAX]);
        kept.push(b"b\n");
        assert!(matches!(kept.finish(), (bytes, true) if bytes.ends_with(b"ab\n")));
    }
}
