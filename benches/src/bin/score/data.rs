//! Folders: which parts stand where, and the pages in them.
//!
//! A part is known by what it holds, never by its folder's name, so that one part can be given on its own.

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The parts that hold something this program can score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Recipe pages by host, each with a label file.
    Recipes,
    /// Pages with one labelled table each.
    Tables,
    /// News and blog pages with title, author and date.
    Article,
    /// Pages with a publication date.
    Dates,
    /// Samples of embedded data with the facts in them, one index for all.
    Extruct,
    /// Vocabulary examples, each in several syntaxes.
    SchemaOrg,
}

impl Kind {
    /// The part's name in the output.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Recipes => "recipes",
            Self::Tables => "tables",
            Self::Article => "article",
            Self::Dates => "dates",
            Self::Extruct => "metadata/extruct",
            Self::SchemaOrg => "metadata/schema-org",
        }
    }
}

/// One part and its folder.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    pub(crate) kind: Kind,
    pub(crate) dir: PathBuf,
}

/// What a folder holds.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The parts to score, in the order of their rows.
    pub(crate) parts: Vec<Part>,
    /// Labels whose pages nothing can be read from yet, and what they are for.
    pub(crate) later: Vec<(PathBuf, &'static str)>,
    /// Folders without any labels that are known here.
    pub(crate) unknown: Vec<PathBuf>,
}

/// Finds the parts in `dir`: the folder itself, or the folders in it, two levels down.
pub(crate) fn discover(dir: &Path) -> Result<Found> {
    if !dir.is_dir() {
        bail!("{} is not a folder: give one laid out like the data's README says", dir.display());
    }
    let mut found = Found::default();
    let any = look(dir, 2, &mut found)?;
    found.parts.sort();
    if !any {
        bail!("{} holds no labelled pages of any known layout: each part is known by its label files", dir.display());
    }
    Ok(found)
}

/// Whether anything in `dir` is known. A folder beside one that is known is named if it is not.
fn look(dir: &Path, depth: u8, found: &mut Found) -> Result<bool> {
    if let Some(kind) = kind_of(dir)? {
        found.parts.push(Part { kind, dir: dir.into() });
        return Ok(true);
    }
    if let Some(what) = later(dir)? {
        found.later.push((dir.into(), what));
        return Ok(true);
    }
    if depth == 0 {
        return Ok(false);
    }
    let mut strange = Vec::new();
    let mut any = false;
    for child in folders_in(dir)? {
        if look(&child, depth - 1, found)? {
            any = true;
        } else {
            strange.push(child);
        }
    }
    if any {
        found.unknown.append(&mut strange);
    }
    Ok(any)
}

/// What the labels in `dir` grade, if it is work that the engine does not do yet.
fn later(dir: &Path) -> Result<Option<&'static str>> {
    if dir.join("next.json").is_file() {
        return Ok(Some("links to the next page"));
    }
    let tables = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tsv");
    let labels = dir.join("labels");
    if labels.is_dir() && entries(&labels)?.iter().any(tables) {
        return Ok(Some("one plan for many pages"));
    }
    let content = |path: &PathBuf| {
        let name = path.to_string_lossy();
        let bare = name.strip_suffix(".expected.html").or_else(|| name.strip_suffix(".md"));
        bare.is_some_and(|bare| page_of(&PathBuf::from(format!("{bare}.page"))).is_some())
    };
    Ok(entries(dir)?.iter().any(content).then_some("main content"))
}

fn kind_of(dir: &Path) -> Result<Option<Kind>> {
    if dir.join("examples.jsonl").is_file() {
        return Ok(Some(Kind::SchemaOrg));
    }
    let index = dir.join("INDEX.csv");
    if index.is_file() && table(&index)?.first().is_some_and(|head| head.iter().any(|name| name == "expected")) {
        return Ok(Some(Kind::Extruct));
    }
    let labels = dir.join("labels.json");
    if labels.is_file() {
        let labels = json(&labels)?;
        let labelled = |key| labels.as_array().is_some_and(|all| all.iter().any(|label| label.get(key).is_some()));
        return Ok(match (labelled("file"), labelled("with"), labelled("date")) {
            (true, true, _) => Some(Kind::Article),
            (true, false, true) => Some(Kind::Dates),
            _ => None,
        });
    }
    // The first page in these folders whose labels are of a known kind tells: `HOST/NAME.json` or `2NN/ID.json`.
    let mut folders = vec![dir.to_path_buf()];
    folders.extend(folders_in(dir)?);
    for folder in folders {
        for label in labels_in(&folder)? {
            let value = json(&label)?;
            if value.get("tableIndex").is_some() && label.with_extension("csv").is_file() {
                return Ok(Some(Kind::Tables));
            }
            if folder != dir
                && ["ingredients", "instructions_list", "yields"].iter().any(|key| value.get(key).is_some())
            {
                return Ok(Some(Kind::Recipes));
            }
        }
    }
    Ok(None)
}

/// The label files `*.json` that have a page beside them, in name order.
pub(crate) fn labels_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let has_page = |path: &PathBuf| path.extension().is_some_and(|e| e == "json") && page_of(path).is_some();
    Ok(entries(dir)?.into_iter().filter(has_page).collect())
}

/// The folders in a folder, in name order.
pub(crate) fn folders_in(dir: &Path) -> Result<Vec<PathBuf>> {
    Ok(entries(dir)?.into_iter().filter(|path| path.is_dir()).collect())
}

fn page_of(label: &Path) -> Option<PathBuf> {
    ["html.gz", "html"].into_iter().map(|extension| label.with_extension(extension)).find(|path| path.is_file())
}

/// The page's bytes beside a label file.
pub(crate) fn page_beside(label: &Path) -> Result<Vec<u8>> {
    page(&page_of(label).with_context(|| format!("{} has no page beside it", label.display()))?)
}

/// A page's bytes, decompressed.
pub(crate) fn page(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if path.extension().is_none_or(|extension| extension != "gz") {
        return Ok(bytes);
    }
    let mut out = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut out).with_context(|| format!("{} is not gzip", path.display()))?;
    Ok(out)
}

/// A JSON file.
pub(crate) fn json(path: &Path) -> Result<serde_json::Value> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is not JSON", path.display()))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let listed = std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))?;
    let mut paths = listed.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// A table file: quoted fields, quotes escaped with a backslash, line breaks allowed inside quotes.
pub(crate) fn table(path: &Path) -> Result<Vec<Vec<String>>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let (mut rows, mut row, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut chars) = (false, text.chars());
    while let Some(c) = chars.next() {
        match c {
            '\\' if quoted => cell.extend(chars.next().map(|c| if c == 'n' { '\n' } else { c })),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            '\r' if !quoted => {}
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !row.is_empty() {
        row.push(cell);
        rows.push(row);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_known_by_its_labels_and_the_rest_is_named_not_refused() {
        let root = std::env::temp_dir().join(format!("atlas-score-parts-{}", std::process::id()));
        let write = |name: &str, text: &str| {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write("README.md", "words");
        write("soups/a.example/1.html", "");
        write("soups/a.example/1.json", r#"{"title": "no list", "ingredients": []}"#);
        write("grids/200-csv/1.html", "");
        write("grids/200-csv/1.json", r#"{"tableIndex": 0}"#);
        write("grids/200-csv/1.csv", "\"a\"\n");
        write("days/labels.json", r#"[{"file": "1.html", "date": "2020-01-01"}]"#);
        write("meta/one/INDEX.csv", "html,expected,syntax,mode,base_url\n");
        write("meta/two/examples.jsonl", "");
        write("links/next.json", "[]");
        write("shop/labels/price.tsv", "");
        write("shop/pages/1.html", "");
        write("words/kind/a.b.md", "");
        write("words/kind/a.b.html", "");
        write("photos/1.jpg", "");
        let found = discover(&root);
        let links = discover(&root.join("links"));
        let photos = discover(&root.join("photos"));
        let grids = discover(&root.join("grids"));
        std::fs::remove_dir_all(&root).unwrap();
        let found = found.unwrap();
        let kinds: Vec<Kind> = found.parts.iter().map(|part| part.kind).collect();
        assert_eq!(kinds, [Kind::Recipes, Kind::Tables, Kind::Dates, Kind::Extruct, Kind::SchemaOrg]);
        let later: Vec<_> = found.later.iter().map(|(path, _)| path.strip_prefix(&root).unwrap().to_owned()).collect();
        assert_eq!(later, ["links", "shop", "words/kind"].map(PathBuf::from));
        assert_eq!(found.unknown, [root.join("photos")]);
        assert!(links.unwrap().parts.is_empty(), "a part of its own without a row yet is no error");
        assert_eq!(grids.unwrap().parts, [Part { kind: Kind::Tables, dir: root.join("grids") }]);
        assert!(photos.is_err());
    }

    #[test]
    fn tables_keep_quotes_and_line_breaks() {
        let path = std::env::temp_dir().join(format!("atlas-score-{}.csv", std::process::id()));
        std::fs::write(&path, "\"a\",\"say \\\"hi\\\"\"\n\"two\nlines\",\"\"\n").unwrap();
        let rows = table(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(rows, [["a", "say \"hi\""], ["two\nlines", ""]]);
    }
}
