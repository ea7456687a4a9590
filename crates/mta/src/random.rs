//! Numbers nobody can guess, from the system. The pure crates take them as parameters.

/// 32 random bits. Where the system gives none (it always does, once it is up), the answer is
/// fixed: ids stay unique by their time, and nothing secret is made of these.
pub(crate) fn u32() -> u32 {
    getrandom::u32().unwrap_or(0x5eed_1e55)
}

/// A nonce for SCRAM (RFC 5802 §5.1); `None` where the system has no randomness.
pub(crate) fn nonce() -> Option<String> {
    let bits = [getrandom::u64().ok()?, getrandom::u64().ok()?];
    Some(format!("{:016x}{:016x}", bits[0], bits[1]))
}
