//! Settings as they are written, settled, compared and encoded.
#![allow(clippy::unwrap_used)]

use mod_smart::codec::{CodecError, Reader, Writer};

use super::*;

fn written(text: &str) -> Result<GroupSettings, SettingsFlaw> {
    toml::from_str::<WrittenSettings>(text).unwrap().try_into()
}

fn settings(text: &str) -> GroupSettings {
    written(text).unwrap()
}

#[test]
fn what_is_not_written_keeps_its_default() {
    assert_eq!(settings(""), GroupSettings::default());
    assert_eq!(settings("window = 1"), PLAIN);
    let all = settings(
        "fault_model = \"byzantine\"\ndelta = 1\nheavy = [2, 1]\nleaders = [3, 1]\nwindow = 4\ntentative = true",
    );
    assert_eq!((all.delta(), all.window(), all.is_tentative(), all.leaders()), (1, 4, true, &[3, 1][..]));
    assert_eq!(all.to_string(), "window 4; delta 1, heavy 1, 2; led first by 3, 1; tentative");
    assert_eq!(toml::from_str::<GroupSettings>(&toml::to_string(&all).unwrap()).unwrap(), all);
}

#[test]
fn what_contradicts_itself_is_refused_with_its_key() {
    let cases = [
        ("window = 0", SettingsFlaw::Window),
        ("window = 33", SettingsFlaw::Window),
        ("delta = 1", SettingsFlaw::NobodyHeavy(1)),
        ("heavy = [1, 2]", SettingsFlaw::NoSpare),
        ("delta = 1\nheavy = [1, 2, 3]", SettingsFlaw::OddHeavy(3)),
        ("delta = 1\nheavy = [1, 1]", SettingsFlaw::HeavyTwice(1)),
        ("leaders = [2, 3, 2]", SettingsFlaw::LeaderTwice(2)),
        ("fault_model = \"crash\"\ntentative = true", SettingsFlaw::TentativeCrash),
    ];
    for (text, flaw) in cases {
        assert_eq!(written(text), Err(flaw), "{text}");
    }
    assert_eq!(SettingsFlaw::NoSpare.key(), SettingKey::Heavy);
    assert!(toml::from_str::<GroupSettings>("window = 0").unwrap_err().to_string().contains("from 1 to 32"));
}

#[test]
fn weights_are_in_force_for_the_consenters_that_they_are_made_for_and_for_no_others() {
    let weighted = settings("delta = 1\nheavy = [1, 2]\nwindow = 4");
    assert_eq!(weighted.settle(&[1, 2, 3, 4, 5]), Settled { in_force: weighted.clone(), misfit: None });
    let four = weighted.settle(&[1, 2, 3, 4]);
    assert_eq!(four.in_force, settings("window = 4"), "the rest stays");
    let why = "delta 1 with 2 heavy consenters is for 5 consenters (f = 1), and there are 4";
    assert_eq!(four.misfit.unwrap().to_string(), why);
    let others = weighted.settle(&[2, 3, 4, 5, 6]);
    assert_eq!(others.misfit, Some(Misfit::NoMember(1)));
    assert_eq!(others.in_force, settings("window = 4"));
    let crash = settings("fault_model = \"crash\"\ndelta = 1\nheavy = [4]");
    assert_eq!((crash.weighted_faults(), crash.settle(&[3, 4, 5, 6]).misfit), (1, None));
}

#[test]
fn one_order_of_leaders_has_one_form() {
    let ids = [1, 2, 3, 4];
    let settled = |leaders: &str| settings(&format!("leaders = {leaders}")).settle(&ids).in_force;
    assert_eq!(settled("[1, 2]"), settled("[]"));
    assert_eq!(settled("[3, 1, 2, 4]"), settled("[3]"));
    assert_eq!(settled("[9, 3]"), settled("[3]"), "nobody leads that is no member");
    assert_eq!(settled("[3, 2]").leaders(), [3, 2]);
}

#[test]
fn settings_survive_their_bytes_and_nothing_else_is_read_as_settings() {
    let all = settings("delta = 1\nheavy = [1, 2]\nleaders = [3, 1]\nwindow = 4\ntentative = true");
    let crash = settings("fault_model = \"crash\"");
    for settings in [all, crash, PLAIN] {
        let mut writer = Writer::default();
        settings.encode(&mut writer);
        let bytes = writer.finish();
        assert_eq!(GroupSettings::decode(&mut Reader::new(bytes.clone())), Ok(settings));
        for end in 0..bytes.len() {
            assert!(GroupSettings::decode(&mut Reader::new(bytes.slice(..end))).is_err());
        }
    }
    assert_eq!(GroupSettings::decode(&mut Reader::new(vec![2].into())), Err(CodecError::Tag(2)));
    let unordered = [&[1, 0, 0, 1, 0, 0, 0, 2][..], &2_u32.to_be_bytes(), &1_u32.to_be_bytes()].concat();
    assert_eq!(GroupSettings::decode(&mut Reader::new(unordered.into())), Err(CodecError::Order));
}

#[test]
fn the_first_difference_is_named() {
    let (here, there) = (settings("window = 4\ndelta = 1\nheavy = [1, 2]"), settings("window = 1"));
    assert_eq!(here.difference(&there).unwrap().to_string(), "`delta` is 1 here and 0 there");
    let heavier = settings("window = 4\ndelta = 1\nheavy = [1, 3]");
    assert_eq!(here.difference(&heavier).unwrap().to_string(), "`heavy` is 1, 2 here and 1, 3 there");
    assert_eq!(here.difference(&here), None);
}
