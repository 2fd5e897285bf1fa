//! A layer from TOML. The parser's own messages quote the line, secret included, so only the line number is kept.

use super::{
    problem::{Problem, ProblemKind},
    source::Layer,
};
use ::toml::{Table, Value};

pub(super) fn layer(origin: &str, text: &str) -> Layer {
    let mut layer = Layer { origin: origin.into(), values: Vec::new(), problems: Vec::new() };
    let table = match text.parse::<Table>() {
        Ok(table) => table,
        Err(error) => {
            let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            layer.problems.push(Problem { name: origin.to_owned(), kind: ProblemKind::Syntax { line } });
            return layer;
        }
    };
    for (name, value) in table {
        let value = match value {
            Value::String(text) => text,
            Value::Integer(number) => number.to_string(),
            Value::Boolean(yes) => yes.to_string(),
            // A float would have passed through binary fractions; amounts are written as strings.
            Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => {
                let name = super::source::plain_name(&name);
                layer.problems.push(Problem { name, kind: ProblemKind::WrongType });
                continue;
            }
        };
        layer.values.push((name.into(), value.into()));
    }
    layer
}
