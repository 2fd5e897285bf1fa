//! Resource names: stages never meet.

use atlas_config::{Resource, ResourceNames};
use atlas_schema::Stage;
use proptest::prelude::*;
use std::collections::BTreeSet;

#[test]
fn names_have_the_documented_form() {
    let names = ResourceNames::of(Stage::Production);
    let all: Vec<String> = Resource::ALL.iter().map(|resource| names.name(*resource).to_string()).collect();
    let expected = ["jobs", "connections", "queue", "dlq", "artifacts", "logs"];
    assert_eq!(all, expected.map(|resource| format!("atlas-codex-{resource}-production")));
}

#[test]
fn no_two_stages_share_a_name() {
    let all: Vec<String> = Stage::ALL
        .iter()
        .flat_map(|stage| Resource::ALL.iter().map(|resource| ResourceNames::of(*stage).name(*resource).to_string()))
        .collect();
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), Stage::ALL.len() * Resource::ALL.len());
}

#[test]
fn a_name_of_another_stage_is_refused_for_every_pair_and_resource() {
    for own in Stage::ALL {
        for other in Stage::ALL {
            for resource in Resource::ALL {
                let text = ResourceNames::of(other).name(resource).to_string();
                let parsed = ResourceNames::of(own).parse(&text);
                assert_eq!(parsed.is_ok(), own == other, "{own} reads {text}");
            }
        }
    }
}

#[test]
fn odd_texts_are_no_names() {
    let names = ResourceNames::of(Stage::Dev);
    for text in [
        "",
        "jobs",
        "atlas-codex--dev",
        "atlas-codex-dev",
        "atlas-codex-jobs-dev ",
        "atlas-codex-../x-dev",
        "ATLAS-CODEX-JOBS-DEV",
    ] {
        assert!(names.parse(text).is_err(), "{text}");
    }
    for resource in ["", "-", "a-", "-a", "a--b", "A", "a_b", "ä", &"a".repeat(41)] {
        assert!(names.custom(resource).is_err(), "{resource}");
    }
}

fn stage() -> impl Strategy<Value = Stage> {
    proptest::sample::select(Stage::ALL.to_vec())
}

proptest! {
    #![proptest_config(crate::cases(2048))]

    #[test]
    fn custom_names_of_two_stages_never_meet(a in "[a-z0-9-]{1,40}", b in "[a-z0-9-]{1,40}", one in stage(), two in stage()) {
        let (one_name, two_name) = (ResourceNames::of(one).custom(&a), ResourceNames::of(two).custom(&b));
        if let (Ok(one_name), Ok(two_name)) = (one_name, two_name) {
            prop_assert!(one_name.as_str().len() <= 63);
            prop_assert_eq!(one_name == two_name, one == two && a == b);
            prop_assert_eq!(one_name.as_str() == two_name.as_str(), one == two && a == b);
            prop_assert_eq!(ResourceNames::of(two).parse(one_name.as_str()).is_ok(), one == two);
        }
    }

    #[test]
    fn a_built_name_is_read_back(resource in "[a-z0-9-]{1,40}", stage in stage()) {
        let names = ResourceNames::of(stage);
        if let Ok(name) = names.custom(&resource) {
            prop_assert_eq!(names.parse(name.as_str()), Ok(name));
        }
    }

    #[test]
    fn a_stage_inside_a_resource_does_not_open_that_stage(resource in "(production|staging|dev)-[a-z]{1,5}|[a-z]{1,5}-(production|staging|dev)") {
        let name = ResourceNames::of(Stage::Preview).custom(&resource).unwrap();
        for other in [Stage::Dev, Stage::Staging, Stage::Production] {
            prop_assert!(ResourceNames::of(other).parse(name.as_str()).is_err());
        }
    }
}
