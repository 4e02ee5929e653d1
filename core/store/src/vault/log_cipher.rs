//! The opened data key of a customer's records in the log: AES-256-GCM with a random nonce for each record, bound to the
//! place that the caller names. A random nonce of 96 bits is safe for 2^32 records under one key (NIST SP 800-38D, 8.3).

use std::fmt;

use aws_lc_rs::aead::LessSafeKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastn_domain::catalog::SealedSecret;
use fastn_domain::scope::Scope;

use super::{KEY_BYTES, Vault, VaultError, aes, decrypt_bytes, encrypt_bytes, random, wipe};

/// The version under which a data key is sealed: each has an id of its own and never a second one.
const VERSION: u32 = 1;

/// See the head of this file.
pub struct LogCipher(LessSafeKey);

impl fmt::Debug for LogCipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogCipher(***)")
    }
}

impl LogCipher {
    /// Nonce, ciphertext and tag of `plain`.
    pub fn seal(&self, place: &[u8], plain: &[u8]) -> Vec<u8> {
        encrypt_bytes(&self.0, place, plain)
    }

    /// What was sealed at `place`; nothing if it was not, or was changed.
    pub fn open(&self, place: &[u8], sealed: &[u8]) -> Option<Vec<u8>> {
        decrypt_bytes(&self.0, place, sealed.to_vec())
    }
}

impl Vault {
    /// Opens the data key `id` of a customer.
    ///
    /// # Errors
    /// `NotOpened`.
    pub fn log_cipher(&self, scope: &Scope, id: &str, sealed: &SealedSecret) -> Result<LogCipher, VaultError> {
        let refused = || VaultError::NotOpened { name: id.to_owned(), version: VERSION };
        let text = self.open(&scope.account, Some(&scope.customer), id, VERSION, sealed)?;
        let bytes = STANDARD.decode(text.expose()).map_err(|_| refused())?;
        let cipher = <&[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map(|key| LogCipher(aes(key)));
        wipe(bytes);
        cipher.map_err(|_| refused())
    }
}

/// A new data key as text, to be sealed under its id.
pub fn new_log_key() -> String {
    let key: [u8; KEY_BYTES] = random();
    STANDARD.encode(key)
}
