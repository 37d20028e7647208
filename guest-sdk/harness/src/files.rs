//! Files of a project, which may be somebody else's: what lies in it must not lead out of it.

use std::fs::Permissions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// The longest file that is read, in bytes.
const BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Reads a text that is a file itself, and not a link, a pipe or a device.
///
/// # Errors
///
/// As reading has them; `InvalidInput` where it is no such file, or longer than 16 MiB.
pub fn read(file: &Path) -> io::Result<String> {
    let invalid = |what: &str| io::Error::new(io::ErrorKind::InvalidInput, what);
    if !file.symlink_metadata()?.is_file() {
        return Err(invalid("it is not a file of its own, but a link or a device"));
    }
    let mut text = String::new();
    std::fs::File::open(file)?.take(BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(invalid("it is longer than 16 MiB"));
    }
    Ok(text)
}

/// Writes a file whole or not at all. A link of that name is replaced, and what it leads to stays as it is.
///
/// # Errors
///
/// As writing has them.
pub fn write(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary =
        tempfile::Builder::new().permissions(Permissions::from_mode(0o666)).tempfile_in(folder)?;
    temporary.write_all(bytes)?;
    temporary.persist(file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_neither_followed_nor_written_through() {
        let folder = tempfile::tempdir().expect("there is room");
        let (secret, link) = (folder.path().join("secret"), folder.path().join("link"));
        std::fs::write(&secret, "mine").expect("it is written");
        std::os::unix::fs::symlink(&secret, &link).expect("it is linked");
        assert_eq!(read(&link).map_err(|error| error.kind()), Err(io::ErrorKind::InvalidInput));
        write(&link, b"yours").expect("it is written");
        assert_eq!(read(&link).expect("it is a file now"), "yours");
        assert_eq!(read(&secret).expect("it is as it was"), "mine");
    }
}
