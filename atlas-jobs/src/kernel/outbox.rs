//! Taking and settling outbox entries, over single rows.

use super::{Rows, check_limit};
use crate::error::StoreError;
use crate::store::{Delivery, OutboxExchange, OutboxItem};

pub(crate) fn outbox(rows: &mut impl Rows, exchange: &OutboxExchange) -> Result<Vec<OutboxItem>, StoreError> {
    check_limit(exchange.limit, 0, rows.backend(), "outbox")?;
    let now = exchange.now.wall;
    for settlement in &exchange.settlements {
        // Someone else has taken it since, or it is gone: the word of a late deliverer does not count.
        if rows.outbox_tries(&settlement.key)? != Some(settlement.tries) {
            continue;
        }
        match settlement.delivery {
            Delivery::Done => rows.outbox_delete(&settlement.key)?,
            Delivery::Again(wait) => {
                rows.outbox_hide(&settlement.key, settlement.tries, now.saturating_add(wait))?;
            }
        }
    }
    let mut items = Vec::new();
    for topic in &exchange.topics {
        let room = exchange.limit - items.len();
        for (key, entry, tries) in rows.outbox_due(topic, now, room)? {
            let tries = tries.saturating_add(1);
            // One that can't be read is hidden like the others, so that it is not in their way.
            rows.outbox_hide(&key, tries, now.saturating_add(exchange.visibility))?;
            items.extend(entry.map(|entry| OutboxItem::new(entry, tries)));
        }
    }
    Ok(items)
}
