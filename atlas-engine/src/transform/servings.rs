//! How much a recipe yields, in one form: a count and what is counted, `4 servings`, `24 cookies`.

use crate::plain;

/// What recipes make, one and many. A yield of anything else is counted in servings.
const NOUNS: [(&str, &str); 62] = [
    ("appetizer", "appetizers"),
    ("bar", "bars"),
    ("batch", "batches"),
    ("biscuit", "biscuits"),
    ("blondie", "blondies"),
    ("bottle", "bottles"),
    ("bowl", "bowls"),
    ("brownie", "brownies"),
    ("bun", "buns"),
    ("burger", "burgers"),
    ("burrito", "burritos"),
    ("cake", "cakes"),
    ("cocktail", "cocktails"),
    ("cookie", "cookies"),
    ("crepe", "crepes"),
    ("cup", "cups"),
    ("cupcake", "cupcakes"),
    ("donut", "donuts"),
    ("doughnut", "doughnuts"),
    ("dozen", "dozen"),
    ("drink", "drinks"),
    ("dumpling", "dumplings"),
    ("empanada", "empanadas"),
    ("fritter", "fritters"),
    ("gallon", "gallons"),
    ("glass", "glasses"),
    ("gram", "grams"),
    ("jar", "jars"),
    ("kilogram", "kilograms"),
    ("layer", "layers"),
    ("liter", "liters"),
    ("loaf", "loaves"),
    ("meatball", "meatballs"),
    ("milliliter", "milliliters"),
    ("muffin", "muffins"),
    ("ounce", "ounces"),
    ("pancake", "pancakes"),
    ("patty", "patties"),
    ("piece", "pieces"),
    ("pie", "pies"),
    ("pierogi", "pierogies"),
    ("pint", "pints"),
    ("pizza", "pizzas"),
    ("popsicle", "popsicles"),
    ("pound", "pounds"),
    ("quart", "quarts"),
    ("quesadilla", "quesadillas"),
    ("roll", "rolls"),
    ("sandwich", "sandwiches"),
    ("scone", "scones"),
    ("serving", "servings"),
    ("skewer", "skewers"),
    ("slice", "slices"),
    ("square", "squares"),
    ("taco", "tacos"),
    ("tart", "tarts"),
    ("tortilla", "tortillas"),
    ("truffle", "truffles"),
    ("turnover", "turnovers"),
    ("waffle", "waffles"),
    ("wing", "wings"),
    ("wrap", "wraps"),
];

/// Reads a yield; of a range the upper end counts. `None` if no number is written.
pub(super) fn read(text: &str) -> Option<String> {
    let text = plain::clean(text).to_lowercase();
    let (count, after) = count(&text)?;
    let noun = noun(after).or_else(|| noun(&text));
    let unit = match noun {
        Some((one, many)) => {
            if count == "1" {
                one
            } else {
                many
            }
        }
        None if count == "1" => "serving",
        None => "servings",
    };
    Some(format!("{count} {unit}"))
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
    let rest = text.get(start..)?;
    let whole = rest.bytes().take_while(u8::is_ascii_digit).count();
    let fraction =
        rest.get(whole..)?.strip_prefix('.').map_or(0, |rest| rest.bytes().take_while(u8::is_ascii_digit).count());
    let length = if fraction > 0 { whole + 1 + fraction } else { whole };
    let spelled = rest.get(..length)?;
    let spelled = if fraction > 0 { spelled.trim_end_matches('0').trim_end_matches('.') } else { spelled };
    let spelled = spelled.trim_start_matches('0');
    (!spelled.is_empty()).then(|| (spelled.to_owned(), rest.get(length..).unwrap_or("")))
}

/// The first word that names something countable.
fn noun(text: &str) -> Option<(&'static str, &'static str)> {
    let mut words = text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty());
    words.find_map(|word| NOUNS.iter().find(|(one, many)| word == *one || word == *many).copied())
}
