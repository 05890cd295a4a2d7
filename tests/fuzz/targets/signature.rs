//! Headers and body of a captured request: `ol-webhook check`, and what the receiver believes.
//!
//! The first line is the time in seconds; lines `secret: …` are the keyring.

#![no_main]

use libfuzzer_sys::fuzz_target;
use ol_fuzz::signature::{
    ID_HEADER, Keyring, LEGACY_HEADER, Refusal, SIGNATURE_HEADER, TIMESTAMP_HEADER,
    TOLERANCE_SECONDS, check,
};
use ol_fuzz::{Message, keyring};

fuzz_target!(|bytes: &[u8]| {
    let Some(message) = Message::read(bytes) else { return };
    let now = message.first.parse().unwrap_or(1_700_000_000);
    let named = message.headers.iter().filter(|(name, _)| name == "secret");
    let secrets: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
    let secrets = secrets.join("\n");
    let Some(keyring) = keyring(&secrets) else { return };
    foreign(&keyring, &message, now);
    own(&keyring, &secrets, &message, now);
});

/// What is believed is what one of the secrets makes.
fn foreign(keyring: &Keyring, message: &Message<'_>, now: u64) {
    let find = |name| message.header(name).map(str::trim);
    let is_signed = [LEGACY_HEADER, SIGNATURE_HEADER].map(|name| find(name).is_some());
    let checked = check(keyring, &message.headers, message.body, now);
    assert_eq!(checked == Err(Refusal::Missing), is_signed == [false, false]);
    let Ok(forms) = checked else { return };
    assert_eq!(forms.len(), is_signed.iter().filter(|is_signed| **is_signed).count());
    for (form, place) in forms {
        if form == "legacy" {
            assert_eq!(find(LEGACY_HEADER), keyring.legacy(place, message.body).as_deref());
            continue;
        }
        let (id, timestamp) = (find(ID_HEADER).unwrap(), find(TIMESTAMP_HEADER).unwrap());
        let timestamp: u64 = timestamp.parse().unwrap();
        assert!(timestamp.abs_diff(now) <= TOLERANCE_SECONDS);
        let ours = keyring.standard(id, timestamp, message.body);
        let ours = ours.split(' ').nth(place).unwrap().trim_end_matches('=');
        let mut given = find(SIGNATURE_HEADER).unwrap().split_whitespace();
        assert!(given.any(|given| given.trim_end_matches('=') == ours));
    }
}

/// What we sign is believed, by each secret alone as well, and not once anything of it is changed.
fn own(keyring: &Keyring, secrets: &str, message: &Message<'_>, now: u64) {
    let body = message.body;
    let id = message.header(ID_HEADER).map_or("msg_1", str::trim);
    let legacy = keyring.legacy(0, body).unwrap();
    let standard = keyring.standard(id, now, body);
    let timestamp = now.to_string();
    let believes = |keyring: &Keyring, id: &str, timestamp: &str, body: &[u8], now| {
        keyring.check_standard(id, timestamp, &standard, body, now)
    };
    let headers: Vec<(String, String)> = [
        (LEGACY_HEADER, legacy.as_str()),
        (ID_HEADER, id),
        (TIMESTAMP_HEADER, timestamp.as_str()),
        (SIGNATURE_HEADER, standard.as_str()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec();
    assert_eq!(check(keyring, &headers, body, now), Ok(vec![("legacy", 0), ("standard", 0)]));

    for (place, secret) in secrets.lines().filter(|line| !line.is_empty()).enumerate() {
        let alone = ol_fuzz::keyring(secret).unwrap();
        assert_eq!(believes(&alone, id, &timestamp, body, now), Ok(0));
        let Some(legacy) = keyring.legacy(place, body) else { continue };
        assert!(keyring.check_legacy(&legacy, body).unwrap() <= place);
    }
    let stranger = ol_fuzz::keyring(&format!("{}#", secrets.replace(['\n', '\r'], "+"))).unwrap();
    assert_eq!(stranger.check_legacy(&legacy, body), Err(Refusal::Wrong));
    assert_eq!(believes(&stranger, id, &timestamp, body, now), Err(Refusal::Wrong));

    let mut other = body.to_vec();
    match other.len() {
        0 => other.push(b' '),
        length => other[usize::try_from(now).unwrap() % length] ^= 1 << (now % 8),
    }
    let shorter = body.split_last().map_or(&b"x"[..], |(_, rest)| rest);
    for other in [other, [body, b" "].concat(), shorter.to_vec()] {
        assert_eq!(keyring.check_legacy(&legacy, &other), Err(Refusal::Wrong));
        assert_eq!(believes(keyring, id, &timestamp, &other, now), Err(Refusal::Wrong));
    }
    assert_eq!(believes(keyring, &format!("{id}x"), &timestamp, body, now), Err(Refusal::Wrong));
    let later = now.wrapping_add(1).to_string();
    assert_eq!(believes(keyring, id, &later, body, now.wrapping_add(1)), Err(Refusal::Wrong));
    for (seconds, outcome) in
        [(TOLERANCE_SECONDS, Ok(0)), (TOLERANCE_SECONDS + 1, Err(Refusal::TimestampOutside))]
    {
        for now in [now.checked_sub(seconds), now.checked_add(seconds)].into_iter().flatten() {
            assert_eq!(believes(keyring, id, &timestamp, body, now), outcome);
        }
    }
    for left_out in [1, 2] {
        let mut headers = headers.clone();
        headers.remove(left_out);
        assert_eq!(check(keyring, &headers, body, now), Err(Refusal::Malformed));
    }
    let cut = legacy.get(1..).unwrap();
    assert_eq!(keyring.check_legacy(cut, body), Err(Refusal::Malformed));
    let digit = if legacy.starts_with('0') { '1' } else { '0' };
    assert_eq!(keyring.check_legacy(&format!("{digit}{cut}"), body), Err(Refusal::Wrong));
}
