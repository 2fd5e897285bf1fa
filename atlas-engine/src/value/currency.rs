//! Currency signs, codes and words.

use super::Locale;
use super::fold::{self, Folded, is_word};
use std::ops::Range;

/// Codes in use (ISO 4217, list of 2026-01-01, without funds, metals and test codes).
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP \
    CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR \
    IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR \
    MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE \
    SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF \
    YER ZAR ZMW ZWG HRK";

/// Codes that also count in lower case, being no words of any large language.
const LOWER_CODES: [&str; 14] =
    ["eur", "usd", "gbp", "chf", "jpy", "cny", "inr", "sek", "nok", "dkk", "pln", "czk", "huf", "aud"];

/// When a sign counts, and for what.
#[derive(Clone, Copy)]
enum Meaning {
    /// This currency everywhere.
    Always(&'static str),
    /// By region or language: `REGION=CODE` or `language=CODE` entries, the first that fits; else the last word, if it has no `=`.
    ByPlace(&'static str),
    /// As before, and no currency sign at all elsewhere.
    OnlyIn(&'static str),
}

use Meaning::{Always, ByPlace, OnlyIn};

/// Signs and words in folded spelling. A plain `$` on a page of no known region is the United States' dollar, as in most software.
const SIGNS: &[(&str, Meaning)] = &[
    ("€", Always("EUR")),
    ("euro", Always("EUR")),
    ("euros", Always("EUR")),
    ("евро", Always("EUR")),
    ("ευρω", Always("EUR")),
    ("ユーロ", Always("EUR")),
    ("£", ByPlace("EG=EGP LB=LBP GBP")),
    ("us$", Always("USD")),
    ("us $", Always("USD")),
    ("u$s", Always("USD")),
    ("a$", Always("AUD")),
    ("au$", Always("AUD")),
    ("au $", Always("AUD")),
    ("c$", Always("CAD")),
    ("ca$", Always("CAD")),
    ("cdn$", Always("CAD")),
    ("nz$", Always("NZD")),
    ("hk$", Always("HKD")),
    ("nt$", Always("TWD")),
    ("s$", Always("SGD")),
    ("mx$", Always("MXN")),
    ("r$", Always("BRL")),
    (
        "$",
        ByPlace(
            "AU=AUD CA=CAD NZ=NZD SG=SGD HK=HKD TW=TWD MX=MXN AR=ARS CL=CLP CO=COP UY=UYU JM=JMD BB=BBD TT=TTD FJ=FJD NA=NAD BN=BND USD",
        ),
    ),
    ("dollar", ByPlace("AU=AUD CA=CAD NZ=NZD SG=SGD HK=HKD USD")),
    ("dollars", ByPlace("AU=AUD CA=CAD NZ=NZD SG=SGD HK=HKD USD")),
    ("¥", ByPlace("CN=CNY zh=CNY JPY")),
    ("￥", ByPlace("CN=CNY zh=CNY JPY")),
    ("円", Always("JPY")),
    ("yen", Always("JPY")),
    ("元", ByPlace("TW=TWD HK=HKD CNY")),
    ("yuan", Always("CNY")),
    ("₩", Always("KRW")),
    ("원", Always("KRW")),
    ("₹", Always("INR")),
    ("rs.", ByPlace("PK=PKR LK=LKR NP=NPR MU=MUR INR")),
    ("rs", ByPlace("PK=PKR LK=LKR NP=NPR MU=MUR INR")),
    ("rupees", ByPlace("PK=PKR LK=LKR NP=NPR INR")),
    ("₽", Always("RUB")),
    ("руб.", Always("RUB")),
    ("руб", Always("RUB")),
    ("рублеи", Always("RUB")),
    ("рубля", Always("RUB")),
    ("р.", OnlyIn("ru=RUB")),
    ("₴", Always("UAH")),
    ("грн.", Always("UAH")),
    ("грн", Always("UAH")),
    ("₺", Always("TRY")),
    ("tl", OnlyIn("tr=TRY TR=TRY")),
    ("₪", Always("ILS")),
    ("₫", Always("VND")),
    ("đ", OnlyIn("vi=VND VN=VND")),
    ("₱", Always("PHP")),
    ("฿", Always("THB")),
    ("บาท", Always("THB")),
    ("₦", Always("NGN")),
    ("₡", Always("CRC")),
    ("₲", Always("PYG")),
    ("₸", Always("KZT")),
    ("₾", Always("GEL")),
    ("₵", Always("GHS")),
    ("zł", Always("PLN")),
    ("zl", OnlyIn("pl=PLN PL=PLN")),
    ("kc", Always("CZK")),
    ("kr.", ByPlace("SE=SEK DK=DKK NO=NOK IS=ISK sv=SEK da=DKK no=NOK is=ISK")),
    ("kr", ByPlace("SE=SEK DK=DKK NO=NOK IS=ISK sv=SEK da=DKK no=NOK is=ISK")),
    ("kronor", Always("SEK")),
    ("kroner", ByPlace("DK=DKK NO=NOK da=DKK no=NOK")),
    ("ft", OnlyIn("hu=HUF HU=HUF")),
    ("lei", OnlyIn("ro=RON RO=RON MD=MDL")),
    ("лв.", Always("BGN")),
    ("лв", Always("BGN")),
    ("sfr.", Always("CHF")),
    ("sfr", Always("CHF")),
    ("fr.", OnlyIn("CH=CHF LI=CHF")),
    ("rm", OnlyIn("MY=MYR ms=MYR")),
    ("rp.", Always("IDR")),
    ("rp", Always("IDR")),
    ("r", OnlyIn("ZA=ZAR")),
    ("s/", OnlyIn("PE=PEN")),
    ("din.", OnlyIn("sr=RSD RS=RSD")),
    ("ден", OnlyIn("mk=MKD MK=MKD")),
    ("د.ا", Always("AED")),
    ("ر.س", Always("SAR")),
];

/// A currency beside a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sign {
    /// The code, where it is known which currency the sign stands for.
    pub(super) code: Option<&'static str>,
    /// Written as a code, so surer than a sign.
    pub(super) exact: bool,
    /// In the folded text.
    pub(super) range: Range<usize>,
}

/// The currency that ends at `end`, after blanks.
pub(super) fn ending_at(text: &Folded<'_>, end: usize, locale: &Locale) -> Option<Sign> {
    let head = text.text.get(..end)?.trim_end();
    let code_start = head.len().checked_sub(3).filter(|start| head.is_char_boundary(*start));
    if let Some(sign) = code_start.and_then(|start| code_at(text, start..head.len())) {
        return Some(sign);
    }
    longest(locale, |sign| {
        let start = head.ends_with(sign).then(|| head.len() - sign.len())?;
        free_standing(&text.text, start..head.len()).then_some(start..head.len())
    })
}

/// The currency that starts at `start`, after blanks.
pub(super) fn starting_at(text: &Folded<'_>, start: usize, locale: &Locale) -> Option<Sign> {
    let start = fold::skip_blanks(&text.text, start);
    if text.text.is_char_boundary(start + 3)
        && let Some(sign) = code_at(text, start..start + 3)
    {
        return Some(sign);
    }
    let rest = text.text.get(start..)?;
    longest(locale, |sign| {
        let range = rest.starts_with(sign).then(|| start..start + sign.len())?;
        free_standing(&text.text, range.clone()).then_some(range)
    })
}

/// If letters of a sign do not run on into a word.
fn free_standing(text: &str, range: Range<usize>) -> bool {
    let sign = text.get(range.clone()).unwrap_or_default();
    let starts = sign.chars().next().is_some_and(is_word) && fold::before(text, range.start).is_some_and(is_word);
    let ends = sign.chars().next_back().is_some_and(is_word) && fold::at(text, range.end).is_some_and(is_word);
    !starts && !ends
}

fn code_at(text: &Folded<'_>, range: Range<usize>) -> Option<Sign> {
    let folded = text.text.get(range.clone())?;
    if folded.len() != 3 || !folded.bytes().all(|b| b.is_ascii_lowercase()) || !free_standing(&text.text, range.clone())
    {
        return None;
    }
    let written = text.source_of(range.clone());
    if written != folded.to_ascii_uppercase() && !LOWER_CODES.contains(&folded) {
        return None;
    }
    Some(Sign { code: Some(known_code(folded)?), exact: true, range })
}

/// The code in capitals, if it is in use.
pub(super) fn known_code(code: &str) -> Option<&'static str> {
    CODES.split_ascii_whitespace().find(|known| known.eq_ignore_ascii_case(code))
}

fn longest(locale: &Locale, mut place: impl FnMut(&str) -> Option<Range<usize>>) -> Option<Sign> {
    let fits = SIGNS.iter().filter_map(|(sign, meaning)| {
        let range = place(sign)?;
        let code = match meaning {
            Always(code) => Some(*code),
            ByPlace(places) => by_place(places, locale),
            OnlyIn(places) => Some(by_place(places, locale)?),
        };
        Some(Sign { code, exact: false, range })
    });
    fits.max_by_key(|sign| sign.range.len())
}

fn by_place(places: &'static str, locale: &Locale) -> Option<&'static str> {
    let region = locale.region();
    let here = places.split_ascii_whitespace().find_map(|entry| {
        let (place, code) = entry.split_once('=')?;
        let fits = region.as_deref() == Some(place) || locale.language() == Some(place);
        fits.then_some(code)
    });
    here.or_else(|| places.split_ascii_whitespace().next_back().filter(|code| !code.contains('=')))
}
