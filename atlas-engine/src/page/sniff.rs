//! Tells bytes that can't be a page, before a parser makes nonsense of them.

/// First bytes of common formats and how to call them. From the WHATWG MIME Sniffing Standard, section 6, and the
/// formats' own definitions.
const MAGIC: &[(&[u8], &str)] = &[
    (b"%PDF-", "a PDF document"),
    (b"%!PS-Adobe-", "a PostScript document"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x00\x00\x01\x00", "an icon"),
    (b"PK\x03\x04", "a ZIP archive or office document"),
    (b"PK\x05\x06", "a ZIP archive or office document"),
    (b"\x1f\x8b\x08", "gzip data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"BZh", "bzip2 data"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"\x7fELF", "a program"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an office document"),
    (b"SQLite format 3\x00", "an SQLite database"),
    (b"OggS\x00", "an audio or video file"),
    (b"ID3", "an audio file"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
    (b"\x00asm", "a WebAssembly module"),
];

/// How many bytes are judged.
const SAMPLE: usize = 4 * 1024;

/// What the bytes are, if they are surely not HTML. `wide` says that a declaration makes NUL bytes plausible (UTF-16).
pub(super) fn not_html(bytes: &[u8], wide: bool) -> Option<&'static str> {
    for (magic, name) in MAGIC {
        if bytes.starts_with(magic) {
            return Some(name);
        }
    }
    match bytes {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => return Some("a WebP image"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W' | b'A', b'A' | b'V', ..] => return Some("an audio or video file"),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => return Some("a video, audio or image file"),
        _ => {}
    }
    let sample = bytes.get(..SAMPLE).unwrap_or(bytes);
    let controls = sample.iter().filter(|b| matches!(b, 0..=8 | 14..=26 | 28..=31)).count();
    // A stray control byte occurs in real pages; one in fifty does not.
    (!wide && controls * 50 > sample.len()).then_some("binary data")
}
