//! What strict reading refuses, what it reads in another spelling, and what its reports may say.

use crate::generate::Rng;
use crate::samples::{alert, evidence, job, record, request, result, with, without};
use atlas_schema::read::{self, FaultKind, Faults, MAX_BYTES, MAX_DEPTH, Record};
use atlas_schema::{Alert, Evidence, ExtractionJob, ExtractionRequest, ExtractionResult, JobRecord};
use serde_json::{Value, json};

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// The pointer and kind of each fault of `text`.
fn faults<T: Record>(text: impl AsRef<[u8]>) -> Vec<(String, FaultKind)> {
    let faults = read::from_slice::<T>(text.as_ref()).err().into_iter().flatten();
    faults.map(|fault| (fault.pointer.to_string(), fault.kind)).collect()
}

fn fault<T: Record>(value: &Value) -> Vec<(String, FaultKind)> {
    assert_eq!(read::validate::<T>(value).err().is_some(), read::from_value::<T>(value.clone()).is_err());
    faults::<T>(bytes(value))
}

fn at(pointer: &str, kind: FaultKind) -> Vec<(String, FaultKind)> {
    vec![(pointer.to_owned(), kind)]
}

#[test]
fn bad_input_15_an_unknown_future_version_is_refused_untouched() {
    let future = with(with(job(), "/schemaVersion", json!("2.0.0")), "/novelty", json!({"a": 1}));
    assert_eq!(
        fault::<ExtractionJob>(&future),
        at("/schemaVersion", FaultKind::UnknownVersion),
        "nothing else is judged"
    );
    let future = with(with(record(), "/schemaVersion", json!("1.0.1")), "/status", json!("paused"));
    assert_eq!(fault::<JobRecord>(&future), at("/schemaVersion", FaultKind::UnknownVersion));
    for not_a_version in [json!(1), json!({}), json!(true)] {
        let odd = with(record(), "/schemaVersion", not_a_version);
        assert_eq!(fault::<JobRecord>(&odd), at("/schemaVersion", FaultKind::WrongType));
    }
    let elsewhere = with(alert(), "/schemaVersion", json!("2.0.0"));
    assert_eq!(fault::<Alert>(&elsewhere), at("/schemaVersion", FaultKind::UnknownField));
}

#[test]
fn bad_input_16_a_depth_of_100_000_is_an_error_on_a_small_stack() {
    let on_small_stack = || {
        for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
            for text in [open.repeat(100_000), format!("{}1{}", open.repeat(100_000), close.repeat(100_000))] {
                assert_eq!(faults::<ExtractionJob>(&text), at("", FaultKind::TooDeep));
            }
            // Within the limit all that is wrong is the type of the root, or one field.
            let deep = format!("{}1{}", open.repeat(MAX_DEPTH), close.repeat(MAX_DEPTH));
            assert!(faults::<ExtractionJob>(&deep).iter().all(|(_, kind)| *kind != FaultKind::TooDeep));
            let result =
                |depth| format!(r#"{{"success":true,"data":[{}1{}]}}"#, open.repeat(depth), close.repeat(depth));
            let deepest = read::from_slice::<ExtractionResult>(result(MAX_DEPTH - 2).as_bytes()).unwrap();
            let written = read::to_canonical_vec(&deepest).unwrap();
            assert_eq!(read::from_slice::<ExtractionResult>(&written).unwrap(), deepest);
            assert_eq!(faults::<ExtractionResult>(result(MAX_DEPTH - 1)), at("", FaultKind::TooDeep));
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(on_small_stack).unwrap().join().unwrap();
}

#[test]
fn data_too_deep_to_be_read_again_is_refused_before_it_is_written() {
    let nested = |depth| (0..depth).fold(json!(1), |inner, _| json!([inner]));
    let with_data = |depth| with(result(), "/data/0/deep", nested(depth));
    // The document, `data` and its first record are three levels.
    assert!(read::validate::<ExtractionResult>(&with_data(MAX_DEPTH - 3)).is_ok());
    let deep = read::validate::<ExtractionResult>(&with_data(MAX_DEPTH - 2)).unwrap_err();
    assert_eq!(deep.iter().next().unwrap().kind, FaultKind::TooDeep);
}

#[test]
fn bad_input_17_a_key_given_twice_is_refused_at_any_depth() {
    for (text, pointer) in [
        (r#"{"success":true,"success":true,"data":[]}"#, "/success"),
        (r#"{"success":true,"data":[{"a":1,"\u0061":1}]}"#, "/data/0/a"),
        (r#"{"success":true,"data":[0,{"x":[{"y/~z":null,"b":0,"y/~z":{}}]}]}"#, "/data/1/x/0/y~1~0z"),
    ] {
        assert_eq!(faults::<ExtractionResult>(text), at(pointer, FaultKind::DuplicateKey), "{text}");
    }
    let twice = faults::<ExtractionResult>(r#"{"success":true,"data":[{"a":{"b":1,"b":2},"a":3,"c":0}],"data":[]}"#);
    let pointers: Vec<_> = twice.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/data/0/a/b", "/data/0/a", "/data"]);
}

#[test]
fn bad_input_17_numbers_are_kept_exactly_or_refused() {
    let data = |number: &str| format!(r#"{{"data":["9e99",{{"n":{number}}}],"success":true}}"#);
    for exact in ["9007199254740993", "-9223372036854775808", "18446744073709551615", "0.1", "1e300", "1.5e20", "-1e19"]
    {
        let read = read::from_slice::<ExtractionResult>(data(exact).as_bytes()).unwrap();
        assert_eq!(read.data[1]["n"], serde_json::from_str::<Value>(exact).unwrap());
        let again = read::to_canonical_vec(&read).unwrap();
        assert_eq!(read::from_slice::<ExtractionResult>(&again).unwrap(), read, "{exact}");
    }
    assert_eq!(
        read::to_canonical_vec(&read::from_slice::<ExtractionResult>(data("9007199254740993").as_bytes()).unwrap())
            .unwrap(),
        data("9007199254740993").into_bytes()
    );
    for rounded in ["18446744073709551616", "-9223372036854775809", "123456789012345678901234567890"] {
        assert_eq!(faults::<ExtractionResult>(data(rounded)), at("/data/1/n", FaultKind::Number), "{rounded}");
    }
    let mixed = r#"{"data":[1e30,36893488147419103232,"1 \" 36893488147419103232",2e30,[-36893488147419103232]],"success":true}"#;
    let places: Vec<_> = faults::<ExtractionResult>(mixed).into_iter().map(|(pointer, _)| pointer).collect();
    assert_eq!(places, ["/data/1", "/data/4/0"]);
    for not_json in ["NaN", "Infinity", "-Infinity", "+1", "01", ".5", "1.", "0x10", "1_000"] {
        assert_eq!(faults::<ExtractionResult>(data(not_json)), at("", FaultKind::Syntax), "{not_json}");
    }
    for too_large in ["1e400", "-1e400"] {
        assert_eq!(faults::<ExtractionResult>(data(too_large)), at("", FaultKind::Number));
    }
    for beyond in ["9007199254740992", "9007199254740993", "9007199254740993.0", "-1", "1e300"] {
        let text = format!(r#"{{"success":true,"data":[],"timings":{{"totalMs":{beyond}}}}}"#);
        assert_eq!(faults::<ExtractionResult>(text), at("/timings/totalMs", FaultKind::Range), "{beyond}");
    }
}

#[test]
fn an_integer_with_an_empty_fraction_is_that_integer_and_is_written_without_it() {
    let text = r#"{"url":"https://example.org/","schema":true,"maxPages":5.0,"maxDepth":1e1,"timeoutMs":120000.00}"#;
    let read: ExtractionRequest = read::from_slice(text.as_bytes()).unwrap();
    assert_eq!((read.max_pages, read.max_depth, read.timeout_ms), (5, 10, 120_000));
    let written = String::from_utf8(read::to_canonical_vec(&read).unwrap()).unwrap();
    assert!(written.contains(r#""maxPages":5,"#) && written.contains(r#""timeoutMs":120000,"#), "{written}");
    let priority = read::from_value::<JobRecord>(with(record(), "/priority", json!(-0.0))).unwrap().priority;
    assert_eq!(priority, 0);
    assert_eq!(
        fault::<ExtractionRequest>(&with(request(), "/maxPages", json!(5.5))),
        at("/maxPages", FaultKind::WrongType)
    );
}

#[test]
fn nothing_is_coerced() {
    for (pointer, value) in [
        ("/maxPages", json!("5")),
        ("/maxPages", json!(true)),
        ("/maxPages", json!([5])),
        ("/url", json!(["https://example.org/"])),
        ("/schema", json!("{}")),
        ("/costCap", json!(1)),
        ("/costCap", json!(0.5)),
    ] {
        let found = fault::<ExtractionRequest>(&with(request(), pointer, value.clone()));
        assert_eq!(found, at(pointer, FaultKind::WrongType), "{value}");
    }
    assert_eq!(fault::<ExtractionResult>(&with(result(), "/success", json!(1))), at("/success", FaultKind::WrongType));
    let spelled = with(request(), "/costCap", json!("0.50"));
    assert_eq!(fault::<ExtractionRequest>(&spelled), at("/costCap", FaultKind::Pattern), "one spelling per amount");
}

#[test]
fn unknown_fields_are_named_never_dropped() {
    // The original deleted these in silence at the root, in params and in log lines, and kept them in results.
    let job = with(
        job(),
        "/logs",
        json!([{"timestamp": 1_756_970_000_000_i64, "level": "INFO", "message": "m", "extra": 1}]),
    );
    let job = with(with(job, "/phantom", json!(1)), "/params/maxLinks", json!(9));
    let job = with(with(job, "/result/extractedData", json!({})), "/result/evidence/~10~1name/0/seen", json!(1));
    let found = fault::<ExtractionJob>(&job);
    let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
    let expected =
        ["/logs/0/extra", "/params/maxLinks", "/phantom", "/result/evidence/~10~1name/0/seen", "/result/extractedData"];
    assert_eq!(pointers, expected);
    assert!(found.iter().all(|(_, kind)| *kind == FaultKind::UnknownField));
}

#[test]
fn extracted_data_is_no_result() {
    // The original stored any object as the result of a completed job.
    let odd = with(job(), "/result", json!({"extractedData": [{"name": "Soup"}]}));
    let found = fault::<ExtractionJob>(&odd);
    let kinds: Vec<_> = found.iter().map(|(pointer, kind)| (pointer.as_str(), *kind)).collect();
    let (missing, unknown) = (FaultKind::MissingField, FaultKind::UnknownField);
    assert_eq!(kinds, [("/result/extractedData", unknown), ("/result/data", missing), ("/result/success", missing)]);
}

#[test]
fn impossible_dates_and_times_are_refused() {
    for time in [0, 999_999_999_999_i64, 253_402_300_800_000, -1, i64::MAX] {
        assert_eq!(
            fault::<JobRecord>(&with(record(), "/runAt", json!(time))),
            at("/runAt", FaultKind::Range),
            "{time}"
        );
    }
    for text in ["2025-02-30T00:00:00Z", "2025-09-04T25:00:00Z", "2025-09-04T10:00:00Z", "1756970000000", ""] {
        assert_eq!(fault::<JobRecord>(&with(record(), "/runAt", json!(text))), at("/runAt", FaultKind::WrongType));
    }
    assert_eq!(
        fault::<JobRecord>(&with(record(), "/runAt", json!(1_756_970_000_000.5))),
        at("/runAt", FaultKind::WrongType)
    );
    assert_eq!(fault::<JobRecord>(&with(record(), "/runAt", json!(253_402_300_799_999_i64))), []);
}

#[test]
fn all_faults_come_at_once_in_document_order() {
    let bad = json!({
        "url": "gopher://example.org", "type": "turbo", "schema": [], "maxPages": 0, "maxDepth": "2", "colour": "red",
        "model": "", "costCap": "1.", "strategy": "a b", "instructions": null,
    });
    let kinds: Vec<_> = fault::<ExtractionRequest>(&bad).into_iter().collect();
    let kinds: Vec<_> = kinds.iter().map(|(pointer, kind)| (pointer.as_str(), kind.as_str())).collect();
    let expected = [
        ("/colour", "unknown_field"),
        ("/costCap", "pattern"),
        ("/maxDepth", "wrong_type"),
        ("/maxPages", "range"),
        ("/model", "length"),
        ("/schema", "wrong_type"),
        ("/strategy", "pattern"),
        ("/type", "not_allowed"),
        ("/url", "pattern"),
    ];
    assert_eq!(kinds, expected);
    assert_eq!(fault::<ExtractionRequest>(&json!({})).len(), 2, "no address and nothing wanted");
}

#[test]
fn a_report_never_shows_the_value_at_fault() {
    const SECRET: &str = "sk-hunter2-DEADBEEF";
    let spoil = |sample: Value, out: &mut Vec<String>| {
        let mut places = Vec::new();
        leaves(&sample, String::new(), &mut places);
        for place in places {
            for value in
                [json!(SECRET), json!([SECRET]), json!({"k": SECRET}), json!(format!("{SECRET}\n").repeat(900))]
            {
                let spoilt = with(sample.clone(), &place, value);
                for text in [bytes(&spoilt), bytes(&spoilt)[..bytes(&spoilt).len() - 1].to_vec()] {
                    out.extend(report::<ExtractionJob>(&text));
                    out.extend(report::<JobRecord>(&text));
                    out.extend(report::<JobRecord<ExtractionRequest>>(&text));
                    out.extend(report::<Evidence>(&text));
                }
            }
        }
    };
    let mut reports = Vec::new();
    spoil(with(job(), "/error", json!(null)), &mut reports);
    spoil(record(), &mut reports);
    spoil(evidence(), &mut reports);
    assert!(reports.len() > 500);
    assert!(
        reports.iter().all(|report| !report.contains("hunter2")),
        "{:?}",
        reports.iter().find(|r| r.contains("hunter2"))
    );
}

fn report<T: Record>(text: &[u8]) -> Option<String> {
    let faults = read::from_slice::<T>(text).err()?;
    Some(format!("{faults} {faults:?} {}", serde_json::to_string(&faults).unwrap()))
}

fn leaves(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, inner)| {
            leaves(inner, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), places);
        }),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| leaves(inner, format!("{at}/{i}"), places));
        }
        _ => places.push(at),
    }
}

#[test]
fn a_hostile_key_neither_breaks_a_log_line_nor_fills_it() {
    let faults = read::validate::<Alert>(&with(alert(), "/a\r\nb\u{1b}[31m", json!(1))).unwrap_err();
    assert!(faults.to_string().chars().all(|c| !c.is_control()), "{faults:?}");
    let long = with(alert(), &format!("/{}", "k".repeat(1_000_000)), json!(1));
    let shown = read::validate::<Alert>(&long).unwrap_err().to_string();
    assert!(shown.len() < 300 && shown.contains("kkk\u{2026}`"), "{shown}");
    let twice = format!("{{\"data\":[{{\"{0}\":1,\"{0}\":2}}],\"success\":true}}", "k".repeat(1_000_000));
    let report = read::from_slice::<ExtractionResult>(twice.as_bytes()).unwrap_err();
    assert!(report.to_string().len() < 300);
}

#[test]
fn a_report_is_bounded_and_says_how_much_it_leaves_out() {
    let many = json!({"success": true, "data": [], "warnings": vec![json!(null); 5000]});
    let faults = read::validate::<ExtractionResult>(&many).unwrap_err();
    assert_eq!((faults.iter().count(), faults.total()), (Faults::MAX_FAULTS, 5000));
    assert!(faults.to_string().ends_with("; and 4000 more"));
}

#[test]
fn bytes_that_are_not_one_json_document_in_utf8_are_refused() {
    let good = String::from_utf8(bytes(&request())).unwrap();
    assert_eq!(faults::<ExtractionRequest>(&good), []);
    for (text, kind) in [
        (format!("{good} {good}"), FaultKind::Syntax),
        (format!("{good}\0"), FaultKind::Syntax),
        (format!("{good}]"), FaultKind::Syntax),
        (String::new(), FaultKind::Syntax),
        (" ".into(), FaultKind::Syntax),
        (good[..good.len() - 1].into(), FaultKind::Syntax),
        (good.replace('"', "'"), FaultKind::Syntax),
        (format!("{}{good}", '\u{feff}'), FaultKind::Encoding),
        (good.replace("soup", r"\ud800"), FaultKind::Syntax),
        (good.replace("soup", "so\nup"), FaultKind::Syntax),
        (good.replace('}', ",}"), FaultKind::Syntax),
        (format!("// {good}"), FaultKind::Syntax),
    ] {
        assert_eq!(faults::<ExtractionRequest>(&text), at("", kind), "{text}");
    }
    assert_eq!(faults::<ExtractionRequest>(format!(" \r\n\t{good}\n ")), []);
    for bad in [&b"\"\xff\""[..], b"{\"a\":\"\xed\xa0\x80\"}", b"\xff\xfe{\0}\0", b"\x80"] {
        assert_eq!(faults::<ExtractionRequest>(bad), at("", FaultKind::Encoding));
    }
}

#[test]
fn spoilt_bytes_are_a_record_or_faults_and_what_is_read_is_written_back() {
    const MARKS: &[u8] = b"\"{}[]:,0-eE.\\u\n t";
    let mut rng = Rng(20_261_121);
    let (mut read, mut refused) = (0, 0);
    for sample in [bytes(&job()), bytes(&result())] {
        for _ in 0..20_000 {
            let mut text = sample.clone();
            for _ in 0..=rng.below(3) {
                let at = rng.below(text.len());
                match rng.below(4) {
                    0 => text[at] = u8::try_from(rng.below(256)).unwrap(),
                    1 => text[at] = MARKS[rng.below(MARKS.len())],
                    2 => text.insert(at, text[at]),
                    _ => text.truncate(at.max(1)),
                }
            }
            match read::from_slice::<ExtractionResult>(&text) {
                Ok(record) => {
                    let once = read::to_canonical_vec(&record).unwrap();
                    assert_eq!(read::from_slice::<ExtractionResult>(&once).unwrap(), record);
                    read += 1;
                }
                Err(faults) => refused += usize::from(faults.total() > 0),
            }
        }
    }
    assert!(read > 200 && refused > 20_000, "{read} {refused}");
}

#[test]
fn a_document_over_the_size_limit_is_refused_unread() {
    assert_eq!(faults::<Alert>(vec![b'['; MAX_BYTES + 1]), at("", FaultKind::TooLarge));
    assert_eq!(faults::<Alert>(vec![b'['; MAX_BYTES]), at("", FaultKind::TooDeep));
}

#[test]
fn null_is_another_spelling_of_absent() {
    let spelled = with(request(), "/model", json!(null));
    let read: ExtractionRequest = read::from_value(spelled).unwrap();
    assert_eq!(read, read::from_value(request()).unwrap());
    assert!(!String::from_utf8(read::to_canonical_vec(&read).unwrap()).unwrap().contains("null"));
}

#[test]
fn a_success_with_error_null_is_a_valid_result() {
    // Every result of the original's engine carried `error: null`, which its schema forbade.
    let job = with(with(job(), "/result/error", json!(null)), "/error", json!(null));
    assert_eq!(fault::<ExtractionJob>(&job), []);
}

#[test]
fn empty_instructions_are_refused() {
    let bad = with(job(), "/params/extractionInstructions", json!(""));
    assert_eq!(fault::<ExtractionJob>(&bad), at("/params/extractionInstructions", FaultKind::Length));
}

#[test]
fn lengths_count_characters_not_bytes() {
    let instructions = |text: String| fault::<ExtractionRequest>(&with(request(), "/instructions", json!(text)));
    assert_eq!(instructions("\u{1f35c}".repeat(10_000)), []);
    assert_eq!(instructions("\u{1f35c}".repeat(10_001)), at("/instructions", FaultKind::Length));
    assert_eq!(instructions("a".repeat(10_001)), at("/instructions", FaultKind::Length));
}

#[test]
fn a_trailing_newline_does_not_pass_a_pattern() {
    let bad = with(record(), "/queue", json!("default\n"));
    assert_eq!(fault::<JobRecord>(&bad), at("/queue", FaultKind::Pattern));
}

#[test]
fn a_payload_of_another_type_is_refused_at_its_place() {
    let typed: JobRecord<ExtractionRequest> = read::from_value(record()).unwrap();
    assert_eq!(typed.payload.max_pages, 5);
    let other = with(record(), "/payload", json!({"path": "/tmp"}));
    assert!(read::from_value::<JobRecord>(other.clone()).is_ok());
    let faults = read::from_value::<JobRecord<ExtractionRequest>>(other).unwrap_err();
    let found: Vec<_> = faults.iter().map(|fault| (fault.pointer.as_str(), fault.kind)).collect();
    assert_eq!(found, [("/payload", FaultKind::Payload)]);
}

#[test]
fn a_record_is_checked_before_it_is_written() {
    let mut job: ExtractionJob = read::from_value(job()).unwrap();
    read::check(&job).unwrap();
    job.error = Some("late".into());
    job.params.max_pages = 0;
    let faults = read::check(&job).unwrap_err();
    assert_eq!(faults.total(), 2);
}

#[test]
fn canonical_bytes_are_read_and_written_unchanged_and_defaults_are_written_out() {
    let read: ExtractionJob = read::from_value(job()).unwrap();
    let canonical = read::to_canonical_vec(&read).unwrap();
    let again: ExtractionJob = read::from_slice(&canonical).unwrap();
    assert_eq!(read::to_canonical_vec(&again).unwrap(), canonical);
    let text = String::from_utf8(canonical).unwrap();
    assert!(text.starts_with(r#"{"createdAt":1756970000000,"error":null,"id":"#), "{text}");
    assert!(text.contains(r#""maxPages":10,"#) && text.contains(r#""schemaVersion":"1.0.0""#));
    let without_defaults = without(without(job(), "/params"), "/createdAt");
    assert_eq!(fault::<ExtractionJob>(&without_defaults).len(), 2, "what has no default is required");
}
