//! What is known about the text's surroundings.

use ::url::Url;

/// What a page says about its language, region and address: the context a text needs to be read rightly.
///
/// Empty by default: then only what is unmistakable in any language is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locale {
    language: Option<String>,
    region: Option<String>,
    base: Option<Url>,
}

/// Country domains that are mostly sold to the whole world, so say nothing of a region.
const GENERIC_COUNTRY_DOMAINS: &[&str] =
    &["ai", "am", "cc", "co", "eu", "fm", "gg", "io", "la", "ly", "me", "sh", "to", "tv", "ws"];

/// Languages that write a comma before decimals. The rest of the known ones write a point.
const COMMA: &[&str] = &[
    "af", "az", "be", "bg", "bs", "ca", "cs", "da", "de", "el", "es", "et", "eu", "fi", "fr", "gl", "hr", "hu", "id",
    "is", "it", "ka", "kk", "lt", "lv", "mk", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sq", "sr", "sv", "tr",
    "uk", "vi",
];
const POINT: &[&str] = &["bn", "cy", "en", "ga", "he", "hi", "ja", "ko", "ms", "mt", "ta", "th", "tl", "zh"];
/// Regions that write a point although their language elsewhere writes a comma (Unicode CLDR, `decimal` of `es-MX`, `de-CH` …).
const POINT_REGIONS: &[&str] = &["CH", "LI", "MX", "US", "GT", "HN", "NI", "PA", "PE", "PR", "SV", "DO", "CU"];
/// Languages that group thousands by blanks.
const BLANK: &[&str] = &[
    "be", "bg", "cs", "et", "fi", "fr", "hu", "ka", "kk", "lt", "lv", "no", "pl", "pt", "ru", "sk", "sq", "sv", "uk",
    "af",
];

impl Locale {
    /// Nothing known.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a language tag as pages write it: `de`, `de-CH`, `pt_BR`, in any case.
    ///
    /// A tag that does not start with a language of two or three letters leaves the language unknown. `nb` and `nn` count as
    /// `no`.
    #[must_use]
    pub fn with_language(mut self, tag: &str) -> Self {
        let mut parts = tag.trim().split(['-', '_']);
        let language = parts.next().unwrap_or_default().to_ascii_lowercase();
        if (2..=3).contains(&language.len()) && language.bytes().all(|b| b.is_ascii_alphabetic()) {
            self.language = Some(match language.as_str() {
                "nb" | "nn" => "no".to_owned(),
                "iw" => "he".to_owned(),
                "in" => "id".to_owned(),
                _ => language,
            });
            self.region = parts
                .find(|part| part.len() == 2 && part.bytes().all(|b| b.is_ascii_alphabetic()))
                .map(str::to_ascii_uppercase);
        }
        self
    }

    /// Takes the address that relative addresses are resolved against. Its country domain is a hint of the region.
    #[must_use]
    pub fn with_base(mut self, base: Url) -> Self {
        self.base = Some(base);
        self
    }

    /// The language, such as `de`.
    pub fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// The region, such as `CH`: from the language tag, else from the country domain of the base address.
    pub fn region(&self) -> Option<String> {
        self.region.clone().or_else(|| {
            let domain = self.base.as_ref()?.domain()?.trim_end_matches('.').rsplit('.').next()?;
            let country = domain.len() == 2 && !GENERIC_COUNTRY_DOMAINS.contains(&domain);
            country.then(|| if domain == "uk" { "GB".to_owned() } else { domain.to_ascii_uppercase() })
        })
    }

    /// The address that relative addresses are resolved against.
    pub fn base(&self) -> Option<&Url> {
        self.base.as_ref()
    }

    /// The sign before decimals, where the language settles it.
    pub(super) fn decimal_sign(&self) -> Option<char> {
        let language = self.language()?;
        if COMMA.contains(&language) {
            let point = matches!(language, "de" | "es" | "it")
                && self.region.as_deref().is_some_and(|region| POINT_REGIONS.contains(&region));
            Some(if point { '.' } else { ',' })
        } else {
            POINT.contains(&language).then_some('.')
        }
    }

    /// If thousands may be grouped by an ordinary blank; also when the language is unknown.
    pub(super) fn groups_by_blank(&self) -> bool {
        self.language().is_none_or(|language| BLANK.contains(&language) || language == "es")
    }
}
