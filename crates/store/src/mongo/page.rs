//! The first documents in an order: what every list that is read is.

use futures_util::TryStreamExt;
use mongodb::{Collection, bson::Document};
use serde::de::DeserializeOwned;

use super::{error::Failure, retry};

/// How many documents an answer brings at most; more come in several.
const MAX_BATCH: u32 = 10_000;

/// The first `limit` of those that `filter` names, in `order`; none where `limit` is 0, which the database takes for no limit.
pub(super) async fn first<T>(
    collection: &Collection<T>,
    filter: Document,
    order: Document,
    limit: u32,
) -> Result<Vec<T>, Failure>
where
    T: DeserializeOwned + Send + Sync + Unpin,
{
    if limit == 0 {
        return Ok(Vec::new());
    }
    retry::idempotent(|| async {
        let found = collection.find(filter.clone()).sort(order.clone());
        let found = found.limit(limit.into()).batch_size(limit.min(MAX_BATCH));
        Ok(found.await?.try_collect().await?)
    })
    .await
}
