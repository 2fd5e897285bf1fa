//! Which program stands in for DynamoDB, and where it is kept. Also read by the build script and by `cargo xtask`.

use std::path::PathBuf;

/// The crate that holds the program: it passes our probe, and other versions have not.
pub const CRATE: &str = "dynoxide-rs";
/// Its version.
pub const VERSION: &str = "3.2.0";
/// No more of it than the server needs.
pub const FEATURES: &str = "native-sqlite,http-server,cli";

/// Names the folder that holds `bin/dynoxide`.
pub const FOLDER: &str = "ATLAS_TEST_TOOLS";
/// Names the folder in which the gate keeps what outlives a checkout.
pub const CACHE: &str = "ATLAS_CI_CACHE";

/// The folder of the program, which is the root of `cargo install`: outside the checkout, so that it is built once.
pub fn folder() -> PathBuf {
    let named = |variable: &str| std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    if let Some(folder) = named(FOLDER) {
        return folder;
    }
    let cache = named(CACHE).or_else(|| named("XDG_CACHE_HOME")).or_else(|| Some(named("HOME")?.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("atlas-tools").join(format!("dynoxide-{VERSION}"))
}

/// The program.
pub fn path() -> PathBuf {
    folder().join("bin").join(if cfg!(windows) { "dynoxide.exe" } else { "dynoxide" })
}
