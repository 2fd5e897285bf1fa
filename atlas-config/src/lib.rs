//! Settings, resource names and egress policy of Atlas: one source of truth.
//!
//! | Module | Answers |
//! |---|---|
//! | [`egress`] | may this address be dialled? |
//!
//! | Feature | Adds |
//! |---|---|
//! | `test-vectors` | [`egress::hostile`], the list of hostile forms for tests of diallers |

pub mod egress;
