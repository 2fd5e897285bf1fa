//! Loading settings and judging addresses.
//!
//! - `config/load`: 40 settings given, checked as a whole; microseconds per load. Floor: 200.
//! - `config/egress-url`: one hostile URL, already parsed, judged; microseconds per URL.
//! - `config/egress-ip`: one address judged; microseconds per address.

use atlas_benches::{Row, micros, race, report};
use atlas_config::{
    Settings,
    egress::{EgressPolicy, hostile},
    settings::{Preset, Rule},
};
use std::{hint::black_box, net::IpAddr, process::ExitCode};
use url::Url;

fn main() -> anyhow::Result<ExitCode> {
    let given: Vec<(&str, &str)> = Settings::fields()
        .filter_map(|field| match (field.preset, field.rule) {
            (Preset::All(text) | Preset::PerStage([text, ..]), _) => Some((field.name, text)),
            (_, Rule::Secret) => Some((field.name, "k7Qm-2vXw-91Zr-Lp0s")),
            _ => None,
        })
        // Given by hand, the two would contradict the preset strategy.
        .filter(|(name, _)| !matches!(*name, "ATLAS_FORCE_GPT4"))
        .take(40)
        .collect();
    Settings::from_map(given.iter().copied())?;
    let count = given.len();
    let policy = EgressPolicy::default();
    let urls: Vec<Url> = hostile::URLS.iter().filter_map(|text| Url::parse(text).ok()).collect();
    let ips: Vec<IpAddr> = hostile::ADDRESSES.iter().filter_map(|text| text.parse().ok()).collect();
    let mut load = || usize::from(Settings::from_map(given.iter().copied()).is_ok());
    let mut judge_urls = || urls.iter().filter(|url| policy.check_url(black_box(url)).is_ok()).count();
    let mut judge_ips = || ips.iter().filter(|ip| policy.check_ip(black_box(**ip)).is_ok()).count();
    let times = race(20, 50, &mut [&mut load, &mut judge_urls, &mut judge_ips]);
    let [load, all_urls, all_ips] = times.as_slice() else { anyhow::bail!("three times for three rivals") };
    let per = |all: f64, items: usize| all / f64::from(u32::try_from(items).unwrap_or(u32::MAX));
    Ok(report(&[
        Row::new(format!("config/load-{count}"), micros(*load), "us").at_most(200.0),
        Row::new("config/egress-url", per(micros(*all_urls), urls.len()), "us"),
        Row::new("config/egress-ip", per(micros(*all_ips), ips.len()), "us"),
    ]))
}
