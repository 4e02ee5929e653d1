//! The vault: secrets encrypted at rest.
//!
//! Envelope encryption. Each sealed value has a random data key of its own, which encrypts the value and is itself
//! encrypted by the master key. Both encryptions are AES-256-GCM with a random nonce and are bound to account, customer,
//! name and version, so a sealed value moved to another place does not open. The master key comes from a file or the
//! environment and is never stored with the data. Rotating it means wrapping the data keys again, not the values.

use std::fmt;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastn_domain::catalog::SealedSecret;
use fastn_domain::ids::{AccountId, CustomerId};

mod log_cipher;

pub use log_cipher::{LogCipher, new_log_key};

/// Bytes of the master key and of data keys.
const KEY_BYTES: usize = 32;
/// Largest value that is sealed.
const VALUE_BYTES_MAX: usize = 64 * 1024;

/// Why the vault did not do it. Never says anything of a value or a key.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The master key could not be read or made.
    #[error("read master key {path}: {message}")]
    KeyFile {
        /// The file, or the name of its source.
        path: PathBuf,
        /// What is wrong and what to do.
        message: String,
        /// The file system's error.
        #[source]
        source: Option<io::Error>,
    },
    /// The sealed value is not for this place, was changed, or was sealed under another master key.
    #[error("open secret {name} version {version}: it was sealed under another master key, or was changed or moved")]
    NotOpened {
        /// The secret's name.
        name: String,
        /// Its version.
        version: u32,
    },
    /// The value is too large.
    #[error("seal secret {name}: the value has {bytes} bytes, the most is {VALUE_BYTES_MAX}")]
    TooLarge {
        /// The secret's name.
        name: String,
        /// Its length.
        bytes: usize,
    },
}

/// A secret in the clear. Printing it shows nothing; dropping it overwrites it.
#[derive(Clone)]
pub struct SecretText(String);

impl SecretText {
    /// The value. What is done with it must not reach a log, an error or an event.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(***)")
    }
}

impl Drop for SecretText {
    fn drop(&mut self) {
        wipe(std::mem::take(&mut self.0).into_bytes());
    }
}

fn wipe(mut bytes: Vec<u8>) {
    bytes.fill(0);
    // Keeps the compiler from leaving out writes to memory that is freed next.
    std::hint::black_box(&bytes);
}

/// The key that wraps every data key.
pub struct MasterKey([u8; KEY_BYTES]);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

impl Drop for MasterKey {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

impl MasterKey {
    /// Reads the key from base64 text, as it stands in the environment. `source` names where it came from.
    pub fn from_base64(text: &str, source: &str) -> Result<Self, VaultError> {
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| VaultError::KeyFile {
            path: source.into(),
            message: format!("it must be {KEY_BYTES} bytes in base64, e.g. from `openssl rand -base64 32`"),
            source: None,
        })
    }

    /// Reads the key from a file of exactly 32 bytes, which only its owner may read.
    pub fn read(path: &Path) -> Result<Self, VaultError> {
        let failed = |message: &str, source| VaultError::KeyFile { path: path.into(), message: message.into(), source };
        let bytes = fs::read(path).map_err(|error| failed("it cannot be read", Some(error)))?;
        check_mode(path).map_err(|message| failed(&message, None))?;
        bytes.try_into().map(Self).map_err(|_| failed("it must hold exactly 32 bytes", None))
    }

    /// Reads the key from `path`, or makes a new one there (mode 0600, durable) if there is no file.
    pub fn read_or_create(path: &Path) -> Result<Self, VaultError> {
        if path.exists() {
            return Self::read(path);
        }
        let failed = |error| VaultError::KeyFile {
            path: path.into(),
            message: "it cannot be made".to_owned(),
            source: Some(error),
        };
        let key = Self(random());
        match create(path, &key.0) {
            Ok(()) => Ok(key),
            // Somebody else was quicker.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Self::read(path),
            Err(error) => Err(failed(error)),
        }
    }

    /// Another key for another purpose: HMAC-SHA-256 of the purpose under this key. It tells nothing of this key.
    pub fn derive(&self, purpose: &str) -> [u8; KEY_BYTES] {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &self.0);
        let tag = aws_lc_rs::hmac::sign(&key, purpose.as_bytes());
        let mut derived = [0; KEY_BYTES];
        derived.copy_from_slice(&tag.as_ref()[..KEY_BYTES]);
        derived
    }
}

/// Writes beside the path and links into place, so that no reader finds half a key.
fn create(path: &Path, key: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let temporary = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = options.open(&temporary)?;
    file.write_all(key)?;
    file.sync_all()?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked?;
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => fs::File::open(parent)?.sync_all(),
        _ => Ok(()),
    }
}

#[cfg(unix)]
fn check_mode(path: &Path) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).map_err(|error| error.to_string())?.permissions().mode();
    if mode & 0o077 == 0 { Ok(()) } else { Err(format!("others may read it (mode {:o}); run chmod 600", mode & 0o777)) }
}

#[cfg(not(unix))]
fn check_mode(_: &Path) -> Result<(), String> {
    Ok(())
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).expect("the system's random numbers are there from boot on");
    bytes
}

/// Seals and opens secrets under one master key.
pub struct Vault {
    master: LessSafeKey,
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Vault(***)")
    }
}

impl Vault {
    /// A vault under `key`.
    pub fn new(key: &MasterKey) -> Self {
        Self { master: aes(&key.0) }
    }

    /// Encrypts a value for one place.
    ///
    /// # Errors
    /// `TooLarge`.
    pub fn seal(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        name: &str,
        version: u32,
        value: &str,
    ) -> Result<SealedSecret, VaultError> {
        if value.len() > VALUE_BYTES_MAX {
            return Err(VaultError::TooLarge { name: name.to_owned(), bytes: value.len() });
        }
        let place = place(account, customer, name, version);
        let mut data_key: [u8; KEY_BYTES] = random();
        let sealed = encrypt(&aes(&data_key), &place, value.as_bytes());
        let wrapped_key = encrypt(&self.master, &place, &data_key);
        data_key.fill(0);
        std::hint::black_box(&data_key);
        Ok(SealedSecret { wrapped_key, sealed })
    }

    /// Decrypts a value sealed for this place.
    ///
    /// # Errors
    /// `NotOpened`.
    pub fn open(
        &self,
        account: &AccountId,
        customer: Option<&CustomerId>,
        name: &str,
        version: u32,
        sealed: &SealedSecret,
    ) -> Result<SecretText, VaultError> {
        let place = place(account, customer, name, version);
        let refused = || VaultError::NotOpened { name: name.to_owned(), version };
        let data_key = decrypt(&self.master, &place, &sealed.wrapped_key).ok_or_else(refused)?;
        let key = <&[u8; KEY_BYTES]>::try_from(data_key.as_slice()).map(aes);
        wipe(data_key);
        let value = decrypt(&key.map_err(|_| refused())?, &place, &sealed.sealed).ok_or_else(refused)?;
        String::from_utf8(value).map(SecretText).map_err(|_| refused())
    }
}

fn aes(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).expect("the key has AES-256's length"))
}

/// What a sealed value is bound to. Each part is led by its length, so no two places give the same bytes.
fn place(account: &AccountId, customer: Option<&CustomerId>, name: &str, version: u32) -> Vec<u8> {
    let mut bytes = b"fastn secret 1".to_vec();
    for part in [Some(account.as_str()), customer.map(|customer| customer.as_str()), Some(name)] {
        // No text is as long as u64::MAX, which stands for an absent customer.
        bytes.extend_from_slice(&part.map_or(u64::MAX, |part| part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.unwrap_or_default().as_bytes());
    }
    bytes.extend_from_slice(&version.to_be_bytes());
    bytes
}

fn encrypt(key: &LessSafeKey, place: &[u8], plain: &[u8]) -> String {
    STANDARD.encode(encrypt_bytes(key, place, plain))
}

/// Nonce and ciphertext with tag. The nonce is random: a secret's data key encrypts once, and the master key is far from
/// the 2^32 encryptions up to which random nonces are safe.
fn encrypt_bytes(key: &LessSafeKey, place: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_LEN] = random();
    let mut buffer = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(place), &mut buffer)
        .expect("the plain text is far shorter than AES-GCM's limit");
    let mut bytes = nonce.to_vec();
    bytes.append(&mut buffer);
    bytes
}

fn decrypt(key: &LessSafeKey, place: &[u8], text: &str) -> Option<Vec<u8>> {
    decrypt_bytes(key, place, STANDARD.decode(text).ok()?)
}

fn decrypt_bytes(key: &LessSafeKey, place: &[u8], bytes: Vec<u8>) -> Option<Vec<u8>> {
    let (nonce, sealed) = bytes.split_at_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let mut buffer = sealed.to_vec();
    let length = key.open_in_place(nonce, Aad::from(place), &mut buffer).ok()?.len();
    buffer.truncate(length);
    Some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> AccountId {
        AccountId::new("acc_demo").unwrap()
    }

    fn customer(id: &str) -> CustomerId {
        CustomerId::new(id).unwrap()
    }

    fn vault(seed: u8) -> Vault {
        Vault::new(&MasterKey([seed; KEY_BYTES]))
    }

    /// Property: what was sealed opens in its own place, and nowhere else, and not under another master key.
    #[test]
    fn a_sealed_value_opens_only_in_its_place() {
        let (vault, own) = (vault(1), customer("cus_a"));
        let sealed = vault.seal(&account(), Some(&own), "TOKEN", 2, "s3cr3t").unwrap();
        let open = |vault: &Vault, customer: Option<&CustomerId>, name: &str, version: u32| {
            vault.open(&account(), customer, name, version, &sealed).ok().map(|text| text.expose().to_owned())
        };
        assert_eq!(open(&vault, Some(&own), "TOKEN", 2).as_deref(), Some("s3cr3t"));
        assert_eq!(open(&vault, Some(&customer("cus_b")), "TOKEN", 2), None);
        assert_eq!(open(&vault, None, "TOKEN", 2), None);
        assert_eq!(open(&vault, Some(&own), "TOKEN2", 2), None);
        assert_eq!(open(&vault, Some(&own), "TOKEN", 1), None);
        assert_eq!(open(&super::tests::vault(9), Some(&own), "TOKEN", 2), None);
        let other = AccountId::new("acc_other").unwrap();
        assert!(vault.open(&other, Some(&own), "TOKEN", 2, &sealed).is_err());
    }

    /// Property: a flip of any bit of what is stored is refused, and so is a data key from another secret.
    #[test]
    fn changed_bits_are_refused() {
        let vault = vault(1);
        let sealed = vault.seal(&account(), None, "TOKEN", 1, "s3cr3t").unwrap();
        let flipped = |text: &str, at: usize| {
            let mut bytes = STANDARD.decode(text).unwrap();
            bytes[at / 8] ^= 1 << (at % 8);
            STANDARD.encode(bytes)
        };
        let bits = |text: &str| STANDARD.decode(text).unwrap().len() * 8;
        for at in 0..bits(&sealed.sealed) {
            let changed = SealedSecret { sealed: flipped(&sealed.sealed, at), ..sealed.clone() };
            assert!(vault.open(&account(), None, "TOKEN", 1, &changed).is_err(), "bit {at} of the value");
        }
        for at in 0..bits(&sealed.wrapped_key) {
            let changed = SealedSecret { wrapped_key: flipped(&sealed.wrapped_key, at), ..sealed.clone() };
            assert!(vault.open(&account(), None, "TOKEN", 1, &changed).is_err(), "bit {at} of the key");
        }
        let other = vault.seal(&account(), None, "TOKEN", 1, "s3cr3t").unwrap();
        assert_ne!(other, sealed, "two seals of one value must not be alike");
        let mixed = SealedSecret { wrapped_key: other.wrapped_key, ..sealed };
        assert!(vault.open(&account(), None, "TOKEN", 1, &mixed).is_err());
    }

    /// Property: the key file is made once, for its owner alone, and one that others may read is refused.
    #[cfg(unix)]
    #[test]
    fn the_key_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        let made = MasterKey::read_or_create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(MasterKey::read_or_create(&path).unwrap().0, made.0);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        assert!(MasterKey::read(&path).is_err());
        assert_eq!(MasterKey::from_base64(&STANDARD.encode(made.0), "FASTN_MASTER_KEY").unwrap().0, made.0);
        assert!(MasterKey::from_base64("c2hvcnQ=", "FASTN_MASTER_KEY").is_err());
    }

    /// Property: neither a secret nor a key shows itself when printed.
    #[test]
    fn nothing_prints_itself() {
        let text = SecretText("s3cr3t".to_owned());
        assert!(!format!("{text:?} {:?} {:?}", MasterKey([7; 32]), vault(1)).contains("s3cr3t"));
        assert!(!format!("{:?}", MasterKey([7; 32])).contains('7'));
    }
}
