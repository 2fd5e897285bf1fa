//! Where programs for tests are kept: outside the checkout, so that each is built or fetched once. Also read by the build script.

use std::path::PathBuf;

/// Names the folder that holds `bin/dynoxide` and the folder of the model server.
pub const FOLDER: &str = "ATLAS_TEST_TOOLS";
/// Names the folder in which the gate keeps what outlives a checkout.
pub const CACHE: &str = "ATLAS_CI_CACHE";
/// Whatever decides where the folders are.
pub const VARIABLES: [&str; 4] = [FOLDER, CACHE, "XDG_CACHE_HOME", "HOME"];

/// The folder that [`FOLDER`] names.
pub fn named() -> Option<PathBuf> {
    of(FOLDER)
}

/// The folder of that name among those that are kept.
pub fn kept(name: &str) -> PathBuf {
    let cache = of(CACHE).or_else(|| of("XDG_CACHE_HOME")).or_else(|| Some(of("HOME")?.join(".cache")));
    cache.unwrap_or_else(std::env::temp_dir).join("atlas-tools").join(name)
}

fn of(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from)
}
