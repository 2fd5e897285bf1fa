//! Writing the output: all of it, or nothing.

use anyhow::{Context, Result};
use std::io::{self, Write};
use std::path::Path;

/// Writes to standard output. A reader that has seen enough, such as `head`, is no error.
pub(crate) fn stdout(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("standard output can't be written: is its disk full?"),
    }
}

/// A line for the person who waits. When nobody reads standard error any more, there is nobody to tell.
pub(crate) fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes a file whole: to a new file beside it, which then takes its place, with the rights of the one that was there. A failure
/// leaves the old file as it was. A link is followed.
pub(crate) fn file(path: &Path, text: &str) -> Result<()> {
    let why =
        || format!("{} can't be written: check that its directory exists, has room and may be written", path.display());
    // A device or a pipe can't be replaced, only written.
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
        let mut out = std::fs::OpenOptions::new().write(true).open(path).with_context(why)?;
        return out.write_all(text.as_bytes()).and_then(|()| out.flush()).with_context(why);
    }
    let path = &path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    let rights = {
        use std::os::unix::fs::PermissionsExt;
        // As any new file, by the user's mask.
        std::fs::Permissions::from_mode(0o666)
    };
    #[cfg(unix)]
    builder.permissions(rights);
    let mut temporary = builder.prefix(".extract-").tempfile_in(dir).with_context(why)?;
    temporary.write_all(text.as_bytes()).and_then(|()| temporary.as_file().sync_all()).with_context(why)?;
    if let Ok(old) = std::fs::metadata(path) {
        temporary.as_file().set_permissions(old.permissions()).with_context(why)?;
    }
    temporary.persist(path).map_err(|error| error.error).with_context(why)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("report.html");
        file(&path, "old").expect("written");
        assert!(file(&dir.path().join("missing/report.html"), "new").is_err());
        file(&path, "new").expect("replaced");
        assert_eq!(std::fs::read_to_string(&path).expect("there"), "new");
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }
}
