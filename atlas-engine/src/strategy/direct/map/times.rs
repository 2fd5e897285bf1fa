//! Lengths of time that depend on one another: the total, and what it is made of.

use super::Mapper;
use crate::evidence::sum_of;
use crate::transform::Transform;
use atlas_schema::{Evidence, JsonPointer, Source};
use serde_json::Value;

impl<'a> Mapper<'a> {
    /// One statement gives one length of time; the total is the sum of its parts where the page gives only those.
    pub(super) fn times(&mut self) {
        let [total, prep, cook] = ["total time", "prep time", "cook time"].map(|concept| self.minutes_field(concept));
        if let (Some(prep), Some(cook)) = (prep, cook) {
            self.drop_repeated(prep, cook);
        }
        let Some(total) = total else { return };
        let Some(map) = self.record.data.as_object_mut().filter(|map| !map.contains_key(total)) else { return };
        let parts: Vec<(&str, u64)> =
            [prep, cook].into_iter().flatten().filter_map(|name| Some((name, map.get(name)?.as_u64()?))).collect();
        // One part by itself is no total: the page does not say that there is nothing else.
        if parts.len() < 2 {
            return;
        }
        let sum: u64 = parts.iter().map(|(_, minutes)| minutes).sum();
        map.insert(total.to_owned(), Value::from(sum));
        let inputs = parts.iter().map(|(name, _)| JsonPointer::root().key(name)).collect();
        self.record.evidence.push((JsonPointer::root().key(total), sum_of(inputs)));
    }

    /// The name of the field that wants this length of time in minutes.
    fn minutes_field(&self, concept: &str) -> Option<&'a str> {
        let shape = self.shape;
        let field = shape.fields(shape.root()).iter().find(|field| {
            let want = self.wants.of(field);
            want.is(concept) && want.transform == Transform::Minutes
        });
        field.map(|field| field.name.as_str())
    }

    /// Of two parts read from one statement the first goes: a label such as "time" may mean either. The same goes for a
    /// part that the page only shows and that repeats what its data say of the other.
    fn drop_repeated(&mut self, prep: &str, cook: &str) {
        let Some(map) = self.record.data.as_object() else { return };
        if map.get(prep).is_none() || map.get(prep) != map.get(cook) {
            return;
        }
        let pieces = |name: &str| -> Vec<&Evidence> {
            let at = JsonPointer::root().key(name);
            self.record.evidence.iter().filter(|(pointer, _)| *pointer == at).map(|(_, piece)| piece).collect()
        };
        let is_shown = |piece: &&Evidence| piece.source == Source::VisibleText {};
        let (first, second) = (pieces(prep), pieces(cook));
        let overlap = |a: &Evidence, b: &Evidence| {
            a.source == b.source
                && a.node.is_some()
                && (a.source == Source::VisibleText {} || a.node == b.node)
                && a.spans.iter().any(|a| b.spans.iter().any(|b| a.start < b.end && b.start < a.end))
        };
        let same = first.iter().any(|a| second.iter().any(|b| overlap(a, b)));
        let repeats = first.iter().all(is_shown) && !second.iter().any(is_shown);
        let repeated = second.iter().all(is_shown) && !first.iter().any(is_shown);
        let gone = if repeated { cook } else { prep };
        if !same && !repeats && !repeated {
            return;
        }
        let at = JsonPointer::root().key(gone);
        self.record.evidence.retain(|(pointer, _)| *pointer != at);
        if let Some(map) = self.record.data.as_object_mut() {
            map.remove(gone);
        }
    }
}
