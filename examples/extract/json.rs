//! Results for a machine: one object per page.

use crate::outcome::{Done, State};
use serde_json::{Value, json};

/// One page: what was asked, what became of it, and the canonical result with its evidence.
pub(crate) fn page(done: &Done) -> Value {
    let mut page = json!({
        "page": done.source.label,
        "type": done.source.shape.name,
        "status": done.verdict(),
    });
    let Value::Object(fields) = &mut page else { return page };
    if let Some(url) = done.source.url() {
        fields.insert("url".into(), url.as_str().into());
    }
    match &done.state {
        State::Result { job, result, reused } => {
            fields.insert("job".into(), job.to_string().into());
            fields.insert("reused".into(), (*reused).into());
            // A record always has a JSON form; if one had not, its absence would show here.
            fields.insert("result".into(), serde_json::to_value(result).unwrap_or(Value::Null));
        }
        State::Failed { job, .. } | State::Waiting { job } => {
            fields.extend(job.map(|job| ("job".to_owned(), job.to_string().into())));
        }
    }
    if let Some(problem) = done.problem() {
        fields.insert("error".into(), problem.into());
    }
    page
}

/// All pages as one array, indented.
pub(crate) fn array(done: &[Done]) -> String {
    let pages: Vec<Value> = done.iter().map(page).collect();
    format!("{:#}\n", Value::Array(pages))
}

/// A page per line.
pub(crate) fn lines(done: &[Done]) -> String {
    let mut lines = String::new();
    for done in done {
        lines.push_str(&page(done).to_string());
        lines.push('\n');
    }
    lines
}
