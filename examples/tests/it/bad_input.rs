//! Bad input: a clear message that says what to do, the other pages still processed, an exit code that tells.

use crate::command::{Ran, Scratch, recipe};

/// Runs the bad page between two good ones and gives its error; the good ones must be done all the same.
fn error_of(scratch: &Scratch, bad: &str) -> String {
    scratch.file("good.html", recipe("Tea")).file("also-good.html", recipe("Mint"));
    let ran = scratch.run(&["--type", "recipe", "--format", "jsonl", "good.html", bad, "also-good.html"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.page("good.html")["status"], "complete");
    assert_eq!(ran.page("also-good.html")["status"], "complete");
    ran.page(bad)["error"].as_str().expect("a reason").to_owned()
}

fn error_of_bytes(bytes: impl AsRef<[u8]>) -> String {
    let scratch = Scratch::new();
    scratch.file("bad.html", bytes);
    error_of(&scratch, "bad.html")
}

#[test]
fn an_empty_page_is_said_to_be_empty() {
    assert!(error_of_bytes("").contains("empty"));
}

#[test]
fn binary_is_no_page() {
    let bytes: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    assert!(error_of_bytes(bytes).contains("binary"));
}

#[test]
fn a_page_of_100_mb_is_refused_before_it_is_read() {
    let scratch = Scratch::new();
    let file = std::fs::File::create(scratch.path("bad.html")).expect("made");
    file.set_len(100_000_000).expect("a sparse file");
    assert!(error_of(&scratch, "bad.html").contains("32 MiB"));
}

#[test]
fn a_hundred_thousand_nested_tags_are_refused() {
    assert!(error_of_bytes("<div>".repeat(100_000)).contains("deep"));
}

#[test]
fn a_million_attributes_are_refused() {
    let mut page = String::from("<p");
    for i in 0..1_000_000 {
        page.extend([" a", &i.to_string(), "=1"]);
    }
    assert!(error_of_bytes(page).contains("attributes"));
}

#[test]
fn a_lying_charset_does_not_spoil_the_words_and_is_told() {
    let scratch = Scratch::new();
    scratch.file(
        "lie.html",
        b"<meta charset=utf-8><h1>Cr\xE8me br\xFBl\xE9e</h1><p>Un dessert tr\xE8s cr\xE9meux".as_slice(),
    );
    let ran = scratch.run(&["--type", "recipe", "--format", "jsonl", "lie.html"]);
    assert_eq!(ran.page("lie.html")["result"]["data"][0]["title"], "Cr\u{e8}me br\u{fb}l\u{e9}e", "{}", ran.err);
    assert_eq!(ran.page("lie.html")["result"]["warnings"][0]["code"], "charset_overruled");
}

#[test]
fn a_truncated_page_gives_what_is_there_as_partial() {
    let scratch = Scratch::new();
    let whole = recipe("Tea");
    scratch.file("cut.html", &whole[..whole.len() - 12]);
    let ran = scratch.run(&["--type", "recipe", "--format", "jsonl", "cut.html"]);
    assert_eq!(
        (ran.code, &ran.page("cut.html")["result"]["data"][0]["title"]),
        (Some(1), &"Tea".into()),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("cut off"), "{}", ran.err);
}

#[test]
fn missing_files_and_impossible_addresses_say_what_to_do() {
    let scratch = Scratch::new();
    assert!(error_of(&scratch, "nowhere.html").contains("check the path"));
    assert!(error_of(&scratch, "ftp://example.org/x").contains("http"));
    assert!(error_of(&scratch, "http://127.0.0.1:8080/").contains("--allow-private"));
    let port = error_of(&scratch, "http://127.0.0.1:9/");
    assert!(port.contains("port") && !port.contains("--allow-private"), "no option lets it pass: {port}");
    assert!(error_of(&scratch, "http://[::ffff:169.254.169.254]/").contains("policy"));
    // A reserved name leads nowhere under any policy: that is said, and no option is offered.
    let reserved = error_of(&scratch, "http://shop.invalid/");
    assert!(reserved.contains("reserved") && !reserved.contains("--allow-private"), "{reserved}");
}

#[test]
fn a_server_that_is_not_there_is_told_apart_from_a_forbidden_one() {
    let scratch = Scratch::new();
    // A port that was free a moment ago: nobody listens.
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port();
    let url = format!("http://127.0.0.1:{port}/");
    let ran = scratch.run(&["--type", "recipe", "--allow-private", "--format", "jsonl", &url]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.page(&url)["error"].as_str().expect("a reason").contains("connection"), "{}", ran.out);
}

/// A schema that can't be used stops the call before anything is written.
fn refused_schema(schema: &str) -> Ran {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea")).file("schema.json", schema);
    let ran = scratch.run(&["--schema", "schema.json", "a.html"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(!scratch.path("atlas.db").exists(), "nothing was written");
    ran
}

#[test]
fn secrets_of_an_address_are_not_repeated() {
    let scratch = Scratch::new();
    let pages = [
        "http://127.0.0.1:9/a?token=hidden1#hidden2",
        "http://me:hidden3@example.invalid/b",
        "ftp://me:hidden4@example.invalid/c",
        "http://me:hidden5@[broken/d?hidden6",
    ];
    for format in ["table", "html"] {
        let mut call = vec!["--type", "recipe", "--format", format, "--out", "out.txt"];
        call.extend(pages);
        let ran = scratch.run(&call);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let written = std::fs::read_to_string(scratch.path("out.txt")).expect("the results");
        assert!(written.contains("127.0.0.1:9/a?…") && written.contains("leave them out"), "{written}");
        assert!(!written.contains("hidden") && !ran.err.contains("hidden"), "{written}{}", ran.err);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn any_name_that_a_file_may_have_is_a_page() {
    use std::os::unix::ffi::OsStrExt;
    let scratch = Scratch::new();
    let names: [&[u8]; 4] = [b"a b %41 #x ?y.html", b"new\nline.html", b"not-utf-8-\xff.html", b"\"><img src=x>.html"];
    let mut command = scratch.command(&["--type", "recipe", "--format", "html", "--out", "out.htm"]);
    for name in names.map(std::ffi::OsStr::from_bytes) {
        std::fs::write(scratch.dir.path().join(name), recipe("Tea")).expect("written");
        command.arg(name);
    }
    let ran = Ran::of(command.output().expect("the program starts"));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!std::fs::read_to_string(scratch.path("out.htm")).expect("the report").contains("<img"));
    assert_eq!(scratch.run(&["--type", "recipe", "."]).code, Some(0), "the folder of them works as well");
}

#[test]
fn a_reader_that_goes_away_is_no_crash() {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea"));
    let mut command = scratch.command(&["--type", "recipe", "a.html", "nowhere.html"]);
    let mut child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("started");
    drop((child.stdout.take(), child.stderr.take()));
    assert_eq!(child.wait().expect("ended").code(), Some(1));
}

#[test]
fn a_schema_without_fields_is_refused() {
    assert!(refused_schema(r#"{"type": "object"}"#).err.contains("properties"));
    assert!(refused_schema(r#"{"type": "array", "items": {"type": "string"}}"#).err.contains("one record"));
    assert!(refused_schema("true").err.contains("object"));
}

#[test]
fn a_schema_that_is_none_is_refused_before_any_page() {
    assert!(refused_schema("not json").err.contains("not JSON"));
    assert!(refused_schema("[]").err.contains("object"));
    assert!(refused_schema(r#"{"type": 12}"#).err.contains("/type"));
}

#[test]
fn a_contradictory_schema_is_refused_by_pointer() {
    let ran =
        refused_schema(r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 5, "maximum": 3}}}"#);
    assert!(ran.err.contains("/properties/n"), "{}", ran.err);
}

#[test]
fn schema_references_in_a_circle_or_away_are_refused() {
    assert!(refused_schema(r##"{"$ref": "#"}"##).err.contains("itself"));
    assert!(refused_schema(r#"{"$ref": "http://example.org/schema.json"}"#).err.contains("nothing is fetched"));
}

#[test]
fn a_recursive_schema_works_and_ends() {
    let scratch = Scratch::new();
    let schema = r##"{"type": "object", "properties": {"title": {"type": "string"}, "part": {"$ref": "#"}}}"##;
    scratch.file("a.html", recipe("Tea")).file("schema.json", schema);
    assert_eq!(scratch.run(&["--schema", "schema.json", "a.html"]).code, Some(0));
}

#[test]
fn pages_without_a_shape_are_a_wrong_call() {
    let scratch = Scratch::new();
    let ran = scratch.file("a.html", recipe("Tea")).run(&["a.html"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("--type") && ran.err.contains("--schema"), "{}", ran.err);
}

/// A database that can't be used is exit code 3 and leaves no output behind.
fn refused_database(scratch: &Scratch, db: &str) -> String {
    scratch.file("a.html", recipe("Tea"));
    let ran = scratch.run(&["--type", "recipe", "--db", db, "--format", "html", "--out", "report.html", "a.html"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(!scratch.path("report.html").exists(), "nothing is half written");
    ran.err
}

#[test]
fn a_file_that_is_no_database_is_left_alone() {
    let scratch = Scratch::new();
    let text = "these are notes, not a database, and long enough to be looked at twice by anybody who cares";
    scratch.file("notes.db", text);
    assert!(refused_database(&scratch, "notes.db").contains("name another file"));
    assert_eq!(std::fs::read_to_string(scratch.path("notes.db")).expect("still there"), text);
}

#[test]
fn a_database_without_a_folder_says_so() {
    assert!(refused_database(&Scratch::new(), "nowhere/atlas.db").contains("directory does not exist"));
    assert!(refused_database(&Scratch::new(), ".").contains("it is a directory"));
}

#[test]
fn a_read_only_database_says_so() {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea")).run(&["--type", "recipe", "--db", "kept.db", "a.html"]);
    let path = scratch.path("kept.db");
    let mut rights = std::fs::metadata(&path).expect("there").permissions();
    rights.set_readonly(true);
    std::fs::set_permissions(&path, rights).expect("read-only");
    // Whoever may write anything, such as root, is not stopped by rights.
    if std::fs::OpenOptions::new().append(true).open(&path).is_err() {
        assert!(refused_database(&scratch, "kept.db").contains("read-only"));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea"));
    let to = |format| scratch.run(&["--type", "recipe", "--format", format, "--out", "/dev/full", "a.html"]);
    for format in ["json", "html"] {
        let ran = to(format);
        assert_eq!(ran.code, Some(3), "{ran:?}");
        assert!(ran.err.contains("has room"), "{}", ran.err);
    }
}

#[test]
fn an_output_that_cannot_be_made_costs_no_result() {
    let scratch = Scratch::new();
    scratch.file("a.html", recipe("Tea"));
    let ran = scratch.run(&["--type", "recipe", "--format", "json", "--out", "nowhere/out.json", "a.html"]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let again = scratch.run(&["--type", "recipe", "--format", "jsonl", "a.html"]);
    assert_eq!(again.page("a.html")["reused"], true, "the page's work is kept");
}
