//! Server-sent events: bytes in, however they are cut, events out.
//!
//! By the HTML standard's section on event streams: lines end with a line feed, a carriage return or both, an empty one ends an
//! event, and an event that the stream ends in is none. Fields other than `event` and `data` are of no use here.

/// An event.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Event {
    /// Its name; empty if it has none.
    pub(super) name: String,
    /// Its lines of data.
    pub(super) data: String,
}

/// What cannot be an event of a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is larger than allowed.
    TooLarge,
    /// It is no text.
    Garbled,
}

/// Takes bytes and gives events, of at most so many bytes each.
pub(super) struct Events {
    most: usize,
    line: Vec<u8>,
    /// The last byte was a carriage return: a line feed that follows is of the same line end.
    after_return: bool,
    is_first: bool,
    event: Event,
    has_data: bool,
}

impl Events {
    pub(super) fn new(most: usize) -> Self {
        Self { most, line: Vec::new(), after_return: false, is_first: true, event: Event::default(), has_data: false }
    }

    /// The events that end within these bytes.
    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Event>, Fault> {
        let mut events = Vec::new();
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_return) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let end = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + line.len() + self.event.data.len() > self.most {
                return Err(Fault::TooLarge);
            }
            self.line.extend_from_slice(line);
            if let Some(end) = rest.first() {
                self.after_return = *end == b'\r';
                events.extend(self.end_line()?);
            }
            bytes = rest.get(1..).unwrap_or_default();
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Result<Option<Event>, Fault> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| Fault::Garbled)?;
        let line = if std::mem::take(&mut self.is_first) { line.trim_start_matches('\u{feff}') } else { line };
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return Ok(std::mem::take(&mut self.has_data).then_some(event));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => {
                if self.has_data {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
                self.has_data = true;
            }
            "event" => value.clone_into(&mut self.event.name),
            _ => {}
        }
        Ok(None)
    }
}
