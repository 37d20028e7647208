//! Taking a backup while the host works, and putting one back.

use super::{Host, Options, private_folder};
use crate::refusals::{Code, Problem, Result};
use crate::store::{self, Copied, Letters, Restored};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// The database of a data folder.
pub(super) const DATABASE: &str = "countersign.db";
/// What an operator may have laid into a folder that is otherwise empty.
const CONFIG: &str = "config.toml";
/// How many bytes of a backup are copied between two looks at how far it is.
const STEP_BYTES: usize = 4 << 20;

impl Host {
    /// Copies everything that is kept into one new file, readable by its owner only, as it stands at one moment, whoever writes
    /// meanwhile; checks the copy, and gives it its name when it is on disk. With `replace`, a file of that name goes.
    /// `progress` is told how many pages have been copied, and of how many. It blocks for as long as it takes.
    ///
    /// # Errors
    ///
    /// `USAGE` where there is such a file, or it would lie in the data folder; `BACKUP_UNUSABLE` and `AUDIT_BROKEN` where the
    /// copy does not pass its check. No file is left then.
    pub fn backup(&self, path: &Path, replace: bool, progress: impl FnMut(u64, u64)) -> Result<Copied> {
        let refused = |what: &str, hint: &str| {
            let problem = Problem::new(Code::Usage, format!("{}: {what}", path.display())).hint(hint);
            Err(problem.into())
        };
        let Some(name) = path.file_name() else {
            return refused("names no file", "name the file to write");
        };
        if self.store.is_beside(path) {
            return refused(
                "lies in the data folder, and would be lost with it",
                "name a file somewhere else",
            );
        }
        if !replace && path.symlink_metadata().is_ok() {
            return refused("is there already", "name another file, or add --force");
        }
        let mut hidden = name.to_owned();
        hidden.push(self.clock().id(".part-"));
        let part = Part::new(path.with_file_name(hidden))?;
        let copied = self.store.backup(&part.path, self.clock().now(), progress)?;
        sync(&part.path)?;
        if let Err(error) = part.rename(path, replace) {
            return match error.kind() {
                std::io::ErrorKind::AlreadyExists => {
                    refused("is there already", "name another file, or add --force")
                }
                _ => Err(cannot_write(path, &error).into()),
            };
        }
        Ok(copied)
    }
}

/// Puts a backup back, into a data folder that holds nothing but a configuration, and opens it. What was about to leave when it
/// was taken is uncertain in it, yeses that had not been used are cancelled, and nobody is signed in.
/// `progress` is told how many bytes have been copied, and of how many.
///
/// # Errors
///
/// `STORE_UNUSABLE` where the folder is not empty, or the backup is of a newer version; `BACKUP_UNUSABLE` where the file is
/// none; `AUDIT_BROKEN`. Nothing is left in the folder then.
pub fn restore(
    options: Options,
    from: &Path,
    by: &str,
    progress: impl FnMut(u64, u64),
) -> Result<(Host, Restored)> {
    let data = &options.data;
    empty(data)?;
    private_folder(data)?;
    let part = Part::new(data.join(format!("{DATABASE}.restoring")))?;
    copy(from, &part.path, progress)?;
    let restored = store::restore(&part.path, by, options.clock.now()).map_err(|error| match error {
        crate::refusals::Error::Refused(problem) => {
            Problem { message: format!("{}: {}", from.display(), problem.message), ..problem }.into()
        }
        error => error,
    })?;
    sync(&part.path)?;
    let database = data.join(DATABASE);
    part.rename(&database, false).map_err(|error| cannot_write(&database, &error))?;
    let host = Host::open(options)?;
    host.write_letters(Letters::Latest(u32::MAX))?;
    Ok((host, restored))
}

/// Whether nothing is lost by restoring into this folder.
fn empty(data: &Path) -> Result<()> {
    let mut entries = match std::fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(cannot_write(data, &error).into()),
    };
    let other = entries.find(|entry| entry.as_ref().map_or(true, |entry| entry.file_name() != CONFIG));
    let Some(other) = other else { return Ok(()) };
    let name = other.map_err(anyhow::Error::from)?.file_name();
    let what = format!("{} is not empty: `{}` is in it", data.display(), name.display());
    let hint = "a backup is restored into a folder of its own: name a new one with --data";
    Err(Problem::new(Code::StoreUnusable, what).hint(hint).into())
}

/// Copies a backup, which is not read before it is ours.
fn copy(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<()> {
    let unusable = |what: &str| {
        Problem::new(Code::BackupUnusable, format!("{}: {what}", from.display()))
            .hint("name a file that `countersign backup` has written")
    };
    let unreadable = |error: std::io::Error| unusable(&format!("cannot be read: {error}"));
    let mut source = File::open(from).map_err(unreadable)?;
    let found = source.metadata().map_err(unreadable)?;
    if !found.is_file() {
        return Err(unusable("is no file").into());
    }
    // A database in use has a part of itself there.
    let mut log = from.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(log).is_ok_and(|log| log.len() > 0) {
        return Err(unusable("is a database in use, and a part of it is in the log beside it").into());
    }
    let mut out = OpenOptions::new().write(true).open(to).map_err(|error| cannot_write(to, &error))?;
    let (mut buffer, mut done) = (vec![0; STEP_BYTES], 0);
    loop {
        let read = source.read(&mut buffer).map_err(unreadable)?;
        if read == 0 {
            return Ok(());
        }
        out.write_all(&buffer[..read]).map_err(|error| cannot_write(to, &error))?;
        done += read as u64;
        progress(done, found.len().max(done));
    }
}

/// A file on its way to its name; gone with this where it does not come there.
struct Part {
    path: PathBuf,
}

impl Part {
    /// A new file, empty, that only its owner can read.
    fn new(path: PathBuf) -> Result<Part> {
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        made.map_err(|error| cannot_write(&path, &error))?;
        Ok(Part { path })
    }

    /// Gives it its name, on disk; without `replace` never that of another file.
    fn rename(&self, to: &Path, replace: bool) -> std::io::Result<()> {
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::RENAME_NOREPLACE };
        match renameat2(AT_FDCWD, &self.path, AT_FDCWD, to, flags) {
            // This file system cannot promise it: the look before has to do.
            Err(Errno::EINVAL) if to.symlink_metadata().is_err() => std::fs::rename(&self.path, to)?,
            renamed => renamed?,
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Under its name it is not here any more. SQLite may have been stopped with files of its own beside it.
        for beside in ["", "-journal", "-wal", "-shm"] {
            let mut path = self.path.clone().into_os_string();
            path.push(beside);
            let _ = std::fs::remove_file(path);
        }
    }
}

fn sync(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|file| file.sync_all());
    Ok(synced.map_err(|error| cannot_write(path, &error))?)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Code::Usage, format!("cannot write {}: {error}", path.display()))
        .hint("name a file in a folder of yours, on a disk with room")
}
