//! Pinned content by its hash: scripts, personas, fixture files.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::core::ids::Hash;
use crate::store::error::StoreError;
use crate::store::store::Store;

/// Keeps `bytes` under their hash.
pub(super) fn put(db: &Connection, hash: &Hash, bytes: &[u8]) -> Result<(), StoreError> {
    let mut insert =
        db.prepare_cached("INSERT INTO source (hash, bytes) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING")?;
    insert.execute(params![hash.as_bytes(), bytes])?;
    Ok(())
}

impl Store {
    /// Keeps content, once per hash.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn put_source(&self, bytes: &[u8]) -> Result<Hash, StoreError> {
        let hash = Hash::of(bytes);
        if self.source(&hash)?.is_none() {
            let bytes = bytes.to_vec();
            self.write("put source", move |tx| put(tx.db, &hash, &bytes))?;
        }
        Ok(hash)
    }

    /// Content by its hash.
    ///
    /// # Errors
    /// What the database says, and content that is no longer what was pinned: nobody runs what was put in its place.
    pub fn source(&self, hash: &Hash) -> Result<Option<Vec<u8>>, StoreError> {
        let bytes: Option<Vec<u8>> = self.read(|db| {
            let mut select = db.prepare_cached("SELECT bytes FROM source WHERE hash = ?1")?;
            Ok(select.query_row([hash.as_bytes()], |row| row.get(0)).optional()?)
        })?;
        match bytes {
            Some(bytes) if Hash::of(&bytes) != *hash => {
                Err(StoreError::Corrupt(format!("the content that was pinned as {hash} was changed")))
            }
            other => Ok(other),
        }
    }
}
