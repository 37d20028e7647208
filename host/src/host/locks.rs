//! Which runs are being driven, across processes.
//!
//! Each run has one byte of one file. A lock on it belongs to the open file that took it: closing the file releases it,
//! and so does the death of the process, however sudden.

use cap_std::fs::{Dir, File, OpenOptions};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::io;

const NAME: &str = "runs.lock";

/// The lock file of a data folder.
pub struct Locks {
    dir: Dir,
}

/// One run, held by this process.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Locks {
    pub fn open(dir: Dir) -> io::Result<Locks> {
        let locks = Locks { dir };
        locks.file()?;
        Ok(locks)
    }

    fn file(&self) -> io::Result<File> {
        use cap_std::fs::OpenOptionsExt as _;
        self.dir.open_with(NAME, OpenOptions::new().read(true).write(true).create(true).mode(0o600))
    }

    /// Takes the run `seq`, or gives `None` if somebody holds it, this process included.
    pub fn try_lock(&self, seq: i64) -> io::Result<Option<Lock>> {
        let file = self.file()?;
        let byte = libc::flock {
            l_type: libc::F_WRLCK as libc::c_short,
            l_whence: libc::SEEK_SET as libc::c_short,
            l_start: seq,
            l_len: 1,
            l_pid: 0,
        };
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&byte)) {
            Ok(_) => Ok(Some(Lock { _file: file })),
            Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cap_std::ambient_authority;

    #[test]
    fn a_run_is_held_once_and_released_with_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let locks = Locks::open(Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap()).unwrap();
        let first = locks.try_lock(1).unwrap().unwrap();
        assert!(locks.try_lock(1).unwrap().is_none());
        assert!(locks.try_lock(2).unwrap().is_some());
        drop(first);
        assert!(locks.try_lock(1).unwrap().is_some());
    }
}
