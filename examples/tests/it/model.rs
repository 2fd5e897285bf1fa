//! The example that calls a model of this machine, where there is none.

use crate::command::example;
use std::process::Command;

#[test]
fn without_a_server_it_says_what_starts_one() {
    let mut command = Command::new(example("local_model"));
    let ran = command.env_remove("ATLAS_EXAMPLE_MODEL_SERVER").output().expect("the program starts");
    let told = String::from_utf8_lossy(&ran.stderr);
    assert!(!ran.status.success(), "{told}");
    assert!(told.contains("ATLAS_EXAMPLE_MODEL_SERVER") && told.contains("`cargo xtask model-server`"), "{told}");
}
