//! The README shows what runs.

#[test]
fn the_quick_start_of_the_readme_is_the_example() {
    let readme = include_str!("../../../README.md");
    let example = include_str!("../../quick_start.rs");
    let code = example.split("\n\n").skip(1).collect::<Vec<_>>().join("\n\n");
    assert!(readme.contains(code.trim()), "copy examples/quick_start.rs into README.md, after `cargo add`");
}
