//! Settings, resource names and egress policy of Atlas: one source of truth.
//!
//! | You want | Use |
//! |---|---|
//! | the settings of this process, or every fault in them | [`Settings::from_env`] |
//! | the name of a table, queue or bucket | [`ResourceNames`] |
//! | to know if an address may be dialled | [`egress::EgressPolicy`] |
//! | to hold a key without printing it | [`Secret`] |
//!
//! No I/O beyond reading the environment, no async, no globals.
//!
//! | Feature | Adds |
//! |---|---|
//! | `test-vectors` | `egress::hostile`, the list of hostile forms for tests of diallers |
//! | `toml` | `Loader::with_toml`, a settings file as a layer |

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod egress;
mod names;
mod secret;
pub mod settings;

pub use names::{ForeignName, InvalidResource, Resource, ResourceName, ResourceNames};
pub use secret::Secret;
pub use settings::{Settings, SettingsError};
