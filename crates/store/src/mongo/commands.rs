//! Commands with many statements, whose answers tell of each: the driver's own calls keep less of them apart.

use mongodb::{
    Database,
    bson::{Document, RawDocumentBuf, deserialize_from_document, doc, raw::RawArrayBuf, rawdoc},
};
use serde::Deserialize;

use super::{
    error::{Cause, Failure},
    retry,
};

/// What one statement of a command met.
#[derive(Debug)]
pub(super) struct Fault {
    /// Which statement, from 0.
    pub(super) index: usize,
    pub(super) failure: Failure,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reply {
    #[serde(default)]
    write_errors: Vec<WriteError>,
    write_concern_error: Option<WriteError>,
}

#[derive(Deserialize)]
struct WriteError {
    #[serde(default)]
    index: usize,
    code: i32,
    #[serde(default)]
    errmsg: String,
}

/// Whether a command goes on after a statement that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// It ends there: what comes after was not tried.
    Ordered,
    /// It does: the others stand for themselves.
    Unordered,
}

/// Inserts documents; answers with those that were refused.
pub(super) async fn insert(
    database: &Database,
    collection: &str,
    documents: &[RawDocumentBuf],
    order: Order,
) -> Result<Vec<Fault>, Failure> {
    let mut list = RawArrayBuf::new();
    for document in documents {
        list.push(document.clone());
    }
    let command = rawdoc! {
        "insert": collection,
        "ordered": order == Order::Ordered,
        "writeConcern": { "w": "majority" },
        "documents": list,
    };
    faults(database.run_raw_command(command).await?)
}

/// Inserts documents that may be there already, from an earlier attempt or by another node.
pub(super) async fn insert_missing(
    database: &Database,
    collection: &str,
    documents: &[RawDocumentBuf],
) -> Result<(), Failure> {
    if documents.is_empty() {
        return Ok(());
    }
    retry::idempotent(|| async {
        let faults = insert(database, collection, documents, Order::Unordered).await?;
        let refused = faults
            .into_iter()
            .find(|fault| fault.failure.cause != Cause::Taken);
        refused.map_or(Ok(()), |fault| Err(fault.failure))
    })
    .await
}

/// Runs update statements (`{q, u, upsert?}`) whose order and repetition make no difference.
pub(super) async fn update_all(
    database: &Database,
    collection: &str,
    statements: &[Document],
) -> Result<(), Failure> {
    if statements.is_empty() {
        return Ok(());
    }
    retry::idempotent(|| async {
        let command = doc! {
            "update": collection,
            "ordered": false,
            "writeConcern": { "w": "majority" },
            "updates": statements,
        };
        let faults = faults(database.run_command(command).await?)?;
        let Some(fault) = faults.into_iter().next() else {
            return Ok(());
        };
        let mut failure = fault.failure;
        if failure.cause == Cause::Taken {
            // Two nodes made the same document at once: the next attempt finds it.
            failure.cause = Cause::RolledBack;
        }
        Err(failure)
    })
    .await
}

fn faults(reply: Document) -> Result<Vec<Fault>, Failure> {
    let reply: Reply = deserialize_from_document(reply)?;
    if let Some(concern) = reply.write_concern_error {
        return Err(Failure {
            cause: Cause::Interrupted,
            reason: concern.errmsg,
        });
    }
    let faults = reply.write_errors.into_iter().map(|error| Fault {
        index: error.index,
        failure: Failure::of_code(error.code, error.errmsg),
    });
    Ok(faults.collect())
}
