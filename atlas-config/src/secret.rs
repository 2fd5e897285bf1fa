//! Secrets: text that no print, log, error or serialised form may hold.

use std::fmt;
use zeroize::Zeroize as _;

/// A secret text. `Debug` and every report show the constant `[REDACTED]`: no length, no first characters. There is no
/// `Display` and no `Serialize`, so that a secret cannot slip out through a format string or a record; memory is wiped
/// on drop.
///
/// ```compile_fail
/// fn print(secret: &atlas_config::Secret) -> String {
///     secret.to_string()
/// }
/// ```
#[derive(Clone)]
pub struct Secret(Box<str>);

/// What stands where a secret would.
pub(crate) const REDACTED: &str = "[REDACTED]";

impl Secret {
    /// Takes any text as it is.
    pub fn new(text: impl Into<Box<str>>) -> Self {
        Self(text.into())
    }

    /// The secret itself. Call this where it leaves for its user, and nowhere else.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
