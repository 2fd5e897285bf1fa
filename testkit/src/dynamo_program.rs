//! Which program stands in for DynamoDB, and where it is kept. Also read by the build script and by `cargo xtask`.

use crate::tools;
use std::path::PathBuf;

/// The crate that holds the program: it passes our probe, and other versions have not.
pub const CRATE: &str = "dynoxide-rs";
/// Its version.
pub const VERSION: &str = "3.2.0";
/// No more of it than the server needs.
pub const FEATURES: &str = "native-sqlite,http-server,cli";

/// The folder of the program, which is the root of `cargo install`: outside the checkout, so that it is built once.
pub fn folder() -> PathBuf {
    tools::named().unwrap_or_else(|| tools::kept(&format!("dynoxide-{VERSION}")))
}

/// The program.
pub fn path() -> PathBuf {
    folder().join("bin").join(if cfg!(windows) { "dynoxide.exe" } else { "dynoxide" })
}
