//! How much a recipe yields, in one form: a count and what is counted, `4 servings`, `24 cookies`.

use crate::plain;

/// What recipes make, one and many. A yield of anything else is counted in servings.
const NOUNS: [(&str, &str); 54] = [
    ("appetizer", "appetizers"),
    ("bar", "bars"),
    ("batch", "batches"),
    ("blondie", "blondies"),
    ("bowl", "bowls"),
    ("brownie", "brownies"),
    ("bun", "buns"),
    ("burrito", "burritos"),
    ("cake", "cakes"),
    ("churro", "churros"),
    ("cookie", "cookies"),
    ("crepe", "crepes"),
    ("croissant", "croissants"),
    ("cup", "cups"),
    ("cupcake", "cupcakes"),
    ("donut", "donuts"),
    ("doughnut", "doughnuts"),
    ("dozen", "dozen"),
    ("falafel", "falafel"),
    ("fritter", "fritters"),
    ("gallon", "gallons"),
    ("glass", "glasses"),
    ("gordita", "gorditas"),
    ("gram", "grams"),
    ("item", "items"),
    ("jar", "jars"),
    ("kilogram", "kilograms"),
    ("layer", "layers"),
    ("liter", "liters"),
    ("loaf", "loaves"),
    ("milliliter", "milliliters"),
    ("muffin", "muffins"),
    ("naan", "naan"),
    ("ounce", "ounces"),
    ("pancake", "pancakes"),
    ("patty", "patties"),
    ("piece", "pieces"),
    ("pie", "pies"),
    ("pierogi", "pierogies"),
    ("pint", "pints"),
    ("pizzelle", "pizzelles"),
    ("pound", "pounds"),
    ("quesadilla", "quesadillas"),
    ("roll", "rolls"),
    ("sandwich", "sandwiches"),
    ("scone", "scones"),
    ("scoop", "scoops"),
    ("serving", "servings"),
    ("skewer", "skewers"),
    ("slice", "slices"),
    ("square", "squares"),
    ("tart", "tarts"),
    ("turnover", "turnovers"),
    ("wrap", "wraps"),
];
/// Units as they are abbreviated.
const UNITS: [(&str, (&str, &str)); 6] = [
    ("g", ("gram", "grams")),
    ("kg", ("kilogram", "kilograms")),
    ("ml", ("milliliter", "milliliters")),
    ("oz", ("ounce", "ounces")),
    ("lb", ("pound", "pounds")),
    ("lbs", ("pound", "pounds")),
];

/// Reads a yield; of a range the upper end counts. `None` if no number is written.
pub(super) fn read(text: &str) -> Option<String> {
    let text = plain::clean(text).to_lowercase();
    let (count, after) = count(&text)?;
    // Nobody cooks for hundreds: so large a bare number counts grams or is an identifier.
    if count.len() > 2 && !names_something(&text) {
        return None;
    }
    let noun = unit(after).or_else(|| noun(after)).or_else(|| noun(&text));
    let unit = match noun {
        Some((one, many)) => {
            if count == "1" {
                one
            } else {
                many
            }
        }
        None if text.contains("makes") => {
            if count == "1" {
                "item"
            } else {
                "items"
            }
        }
        None if count == "1" => "serving",
        None => "servings",
    };
    Some(format!("{count} {unit}"))
}

/// Whether a text says what is counted, not only how many.
pub(super) fn names_something(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

/// Words for those who eat and for what they get, folded, in the languages of the label vocabulary.
const EATERS: [&str; 35] = [
    "serving",
    "servings",
    "portion",
    "portions",
    "portionen",
    "person",
    "persons",
    "people",
    "personen",
    "personnes",
    "personne",
    "parts",
    "persona",
    "personas",
    "raciones",
    "porciones",
    "comensales",
    "persone",
    "porzioni",
    "pessoas",
    "porções",
    "personer",
    "portioner",
    "porsjoner",
    "pers",
    "osoby",
    "osób",
    "porcje",
    "porcji",
    "porce",
    "porcie",
    "annosta",
    "adag",
    "kişilik",
    "порции",
];

/// Whether a text is nothing but a count, or two, and one word for servings.
pub(super) fn is_whole(text: &str) -> bool {
    let text = text.trim().to_lowercase();
    let Some((count, after)) = count(&text) else { return false };
    let before = text.starts_with(|c: char| c.is_ascii_digit());
    let word = after.trim().trim_end_matches('.');
    // One of something named as many is a template's default, not a yield.
    before && count.len() <= 3 && count != "1" && EATERS.contains(&word)
}

/// The count, and the text after it.
fn count(text: &str) -> Option<(String, &str)> {
    let (first, after) = number(text)?;
    let dash = after.trim_start();
    let upper =
        ["-", "–", "—", "to ", "bis ", "à ", "a ", "tot ", "till "].iter().find_map(|sign| dash.strip_prefix(sign));
    match upper.map(str::trim_start).filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit())).and_then(number) {
        Some((second, rest)) => Some((second, rest)),
        None => Some((first, after)),
    }
}

fn number(text: &str) -> Option<(String, &str)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    if let Some(before) = text
        .get(..start)
        .and_then(|before| before.strip_suffix('.'))
        .filter(|before| !before.ends_with(char::is_alphanumeric))
    {
        let fraction = text.get(start..)?.bytes().take_while(u8::is_ascii_digit).count();
        let digits = text.get(start..start + fraction)?.trim_end_matches('0');
        let after = text.get(before.len() + 1 + fraction..).unwrap_or("");
        return (!digits.is_empty()).then(|| (format!("0.{digits}"), after));
    }
    let rest = text.get(start..)?;
    let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
    let fraction =
        rest.get(whole..)?.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let length = if fraction > 0 { whole + 1 + fraction } else { whole };
    let spelled = rest.get(..length)?;
    let spelled = if fraction > 0 { spelled.trim_end_matches('0').trim_end_matches('.') } else { spelled };
    let spelled = if spelled.starts_with("0.") { spelled } else { spelled.trim_start_matches('0') };
    (!spelled.is_empty()).then(|| (spelled.to_owned(), rest.get(length..).unwrap_or("")))
}

/// The abbreviated unit that a text starts with.
fn unit(text: &str) -> Option<(&'static str, &'static str)> {
    let word = text.trim_start().split(|c: char| !c.is_alphabetic()).next()?;
    UNITS.iter().find(|(short, _)| *short == word).map(|(_, unit)| *unit)
}

/// The first word that names something countable.
fn noun(text: &str) -> Option<(&'static str, &'static str)> {
    let mut words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.find_map(|word| NOUNS.iter().find(|(one, many)| word == *one || word == *many).copied())
}
