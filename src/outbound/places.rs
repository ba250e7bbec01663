//! Where a number is: countries and time zones by its first digits.
//!
//! The longest row wins. Where a prefix lies in several zones it names all of them, and whoever asks takes the stricter; so does a number of a
//! country with several zones whose area is not told apart here. A mobile number may be anywhere: it has the zones of its country.
//! Sources: the ITU's list of country codes, the North American numbering plan's area codes, the IANA time zone data base (from their public
//! documents, in November 2026), and checked against the time zones of libphonenumber (9.0.43) for each area code and country. Operators correct a row with `[[zone]]`.

/// First digits, ISO 3166-1 countries, IANA zones; several are separated by spaces.
pub type Row = (&'static str, &'static str, &'static str);

const US: &str = "America/New_York America/Los_Angeles Pacific/Honolulu America/Anchorage";
const RU: &str = "Europe/Kaliningrad Asia/Kamchatka";
const EVERYWHERE: &str =
    "America/St_Johns America/New_York America/Los_Angeles Pacific/Honolulu America/Anchorage";

/// Countries by calling code.
pub const COUNTRIES: &[Row] = &[
    ("1", "US CA", EVERYWHERE),
    ("20", "EG", "Africa/Cairo"),
    ("211", "SS", "Africa/Juba"),
    ("212", "MA", "Africa/Casablanca"),
    ("213", "DZ", "Africa/Algiers"),
    ("216", "TN", "Africa/Tunis"),
    ("218", "LY", "Africa/Tripoli"),
    ("220", "GM", "Africa/Banjul"),
    ("221", "SN", "Africa/Dakar"),
    ("222", "MR", "Africa/Nouakchott"),
    ("223", "ML", "Africa/Bamako"),
    ("224", "GN", "Africa/Conakry"),
    ("225", "CI", "Africa/Abidjan"),
    ("226", "BF", "Africa/Ouagadougou"),
    ("227", "NE", "Africa/Niamey"),
    ("228", "TG", "Africa/Lome"),
    ("229", "BJ", "Africa/Porto-Novo"),
    ("230", "MU", "Indian/Mauritius"),
    ("231", "LR", "Africa/Monrovia"),
    ("232", "SL", "Africa/Freetown"),
    ("233", "GH", "Africa/Accra"),
    ("234", "NG", "Africa/Lagos"),
    ("235", "TD", "Africa/Ndjamena"),
    ("236", "CF", "Africa/Bangui"),
    ("237", "CM", "Africa/Douala"),
    ("238", "CV", "Atlantic/Cape_Verde"),
    ("239", "ST", "Africa/Sao_Tome"),
    ("240", "GQ", "Africa/Malabo"),
    ("241", "GA", "Africa/Libreville"),
    ("242", "CG", "Africa/Brazzaville"),
    ("243", "CD", "Africa/Kinshasa Africa/Lubumbashi"),
    ("244", "AO", "Africa/Luanda"),
    ("245", "GW", "Africa/Bissau"),
    ("246", "IO", "Indian/Chagos"),
    ("248", "SC", "Indian/Mahe"),
    ("249", "SD", "Africa/Khartoum"),
    ("250", "RW", "Africa/Kigali"),
    ("251", "ET", "Africa/Addis_Ababa"),
    ("252", "SO", "Africa/Mogadishu"),
    ("253", "DJ", "Africa/Djibouti"),
    ("254", "KE", "Africa/Nairobi"),
    ("255", "TZ", "Africa/Dar_es_Salaam"),
    ("256", "UG", "Africa/Kampala"),
    ("257", "BI", "Africa/Bujumbura"),
    ("258", "MZ", "Africa/Maputo"),
    ("260", "ZM", "Africa/Lusaka"),
    ("261", "MG", "Indian/Antananarivo"),
    ("262", "RE YT", "Indian/Reunion Indian/Mayotte"),
    ("263", "ZW", "Africa/Harare"),
    ("264", "NA", "Africa/Windhoek"),
    ("265", "MW", "Africa/Blantyre"),
    ("266", "LS", "Africa/Maseru"),
    ("267", "BW", "Africa/Gaborone"),
    ("268", "SZ", "Africa/Mbabane"),
    ("269", "KM", "Indian/Comoro"),
    ("27", "ZA", "Africa/Johannesburg"),
    ("290", "SH", "Atlantic/St_Helena"),
    ("291", "ER", "Africa/Asmara"),
    ("297", "AW", "America/Aruba"),
    ("298", "FO", "Atlantic/Faroe"),
    ("299", "GL", "America/Nuuk America/Thule"),
    ("30", "GR", "Europe/Athens"),
    ("31", "NL", "Europe/Amsterdam"),
    ("32", "BE", "Europe/Brussels"),
    ("33", "FR", "Europe/Paris"),
    ("34", "ES", "Europe/Madrid Atlantic/Canary"),
    ("350", "GI", "Europe/Gibraltar"),
    ("351", "PT", "Europe/Lisbon Atlantic/Azores"),
    ("352", "LU", "Europe/Luxembourg"),
    ("353", "IE", "Europe/Dublin"),
    ("354", "IS", "Atlantic/Reykjavik"),
    ("355", "AL", "Europe/Tirane"),
    ("356", "MT", "Europe/Malta"),
    ("357", "CY", "Asia/Nicosia"),
    ("358", "FI", "Europe/Helsinki"),
    ("359", "BG", "Europe/Sofia"),
    ("36", "HU", "Europe/Budapest"),
    ("370", "LT", "Europe/Vilnius"),
    ("371", "LV", "Europe/Riga"),
    ("372", "EE", "Europe/Tallinn"),
    ("373", "MD", "Europe/Chisinau"),
    ("374", "AM", "Asia/Yerevan"),
    ("375", "BY", "Europe/Minsk"),
    ("376", "AD", "Europe/Andorra"),
    ("377", "MC", "Europe/Monaco"),
    ("378", "SM", "Europe/San_Marino"),
    ("380", "UA", "Europe/Kyiv"),
    ("381", "RS", "Europe/Belgrade"),
    ("382", "ME", "Europe/Podgorica"),
    ("383", "XK", "Europe/Belgrade"),
    ("385", "HR", "Europe/Zagreb"),
    ("386", "SI", "Europe/Ljubljana"),
    ("387", "BA", "Europe/Sarajevo"),
    ("389", "MK", "Europe/Skopje"),
    ("39", "IT", "Europe/Rome"),
    ("40", "RO", "Europe/Bucharest"),
    ("41", "CH", "Europe/Zurich"),
    ("420", "CZ", "Europe/Prague"),
    ("421", "SK", "Europe/Bratislava"),
    ("423", "LI", "Europe/Vaduz"),
    ("43", "AT", "Europe/Vienna"),
    ("44", "GB", "Europe/London"),
    ("441481", "GG", "Europe/Guernsey"),
    ("441534", "JE", "Europe/Jersey"),
    ("441624", "IM", "Europe/Isle_of_Man"),
    ("45", "DK", "Europe/Copenhagen"),
    ("46", "SE", "Europe/Stockholm"),
    ("47", "NO", "Europe/Oslo"),
    ("48", "PL", "Europe/Warsaw"),
    ("49", "DE", "Europe/Berlin"),
    ("500", "FK", "Atlantic/Stanley"),
    ("501", "BZ", "America/Belize"),
    ("502", "GT", "America/Guatemala"),
    ("503", "SV", "America/El_Salvador"),
    ("504", "HN", "America/Tegucigalpa"),
    ("505", "NI", "America/Managua"),
    ("506", "CR", "America/Costa_Rica"),
    ("507", "PA", "America/Panama"),
    ("508", "PM", "America/Miquelon"),
    ("509", "HT", "America/Port-au-Prince"),
    ("51", "PE", "America/Lima"),
    (
        "52",
        "MX",
        "America/Mexico_City America/Tijuana America/Cancun",
    ),
    ("53", "CU", "America/Havana"),
    ("54", "AR", "America/Argentina/Buenos_Aires"),
    (
        "55",
        "BR",
        "America/Noronha America/Sao_Paulo America/Rio_Branco",
    ),
    (
        "56",
        "CL",
        "America/Santiago America/Punta_Arenas Pacific/Easter",
    ),
    ("57", "CO", "America/Bogota"),
    ("58", "VE", "America/Caracas"),
    ("590", "GP", "America/Guadeloupe"),
    ("591", "BO", "America/La_Paz"),
    ("592", "GY", "America/Guyana"),
    ("593", "EC", "America/Guayaquil Pacific/Galapagos"),
    ("594", "GF", "America/Cayenne"),
    ("595", "PY", "America/Asuncion"),
    ("596", "MQ", "America/Martinique"),
    ("597", "SR", "America/Paramaribo"),
    ("598", "UY", "America/Montevideo"),
    ("599", "CW BQ", "America/Curacao"),
    ("60", "MY", "Asia/Kuala_Lumpur"),
    (
        "61",
        "AU",
        "Australia/Sydney Australia/Brisbane Australia/Perth",
    ),
    ("612", "AU", "Australia/Sydney"),
    ("613", "AU", "Australia/Melbourne"),
    ("617", "AU", "Australia/Brisbane"),
    (
        "618",
        "AU",
        "Australia/Adelaide Australia/Darwin Australia/Perth",
    ),
    ("62", "ID", "Asia/Jakarta Asia/Makassar Asia/Jayapura"),
    ("63", "PH", "Asia/Manila"),
    ("64", "NZ", "Pacific/Auckland"),
    ("65", "SG", "Asia/Singapore"),
    ("66", "TH", "Asia/Bangkok"),
    ("670", "TL", "Asia/Dili"),
    ("673", "BN", "Asia/Brunei"),
    ("674", "NR", "Pacific/Nauru"),
    ("675", "PG", "Pacific/Port_Moresby Pacific/Bougainville"),
    ("676", "TO", "Pacific/Tongatapu"),
    ("677", "SB", "Pacific/Guadalcanal"),
    ("678", "VU", "Pacific/Efate"),
    ("679", "FJ", "Pacific/Fiji"),
    ("680", "PW", "Pacific/Palau"),
    ("682", "CK", "Pacific/Rarotonga"),
    ("685", "WS", "Pacific/Apia"),
    ("686", "KI", "Pacific/Tarawa Pacific/Kiritimati"),
    ("687", "NC", "Pacific/Noumea"),
    ("688", "TV", "Pacific/Funafuti"),
    ("689", "PF", "Pacific/Tahiti Pacific/Gambier"),
    ("691", "FM", "Pacific/Chuuk Pacific/Pohnpei"),
    ("692", "MH", "Pacific/Majuro"),
    ("7", "RU", RU),
    ("76", "KZ", "Asia/Almaty"),
    ("77", "KZ", "Asia/Almaty"),
    ("81", "JP", "Asia/Tokyo"),
    ("82", "KR", "Asia/Seoul"),
    ("84", "VN", "Asia/Ho_Chi_Minh"),
    ("852", "HK", "Asia/Hong_Kong"),
    ("853", "MO", "Asia/Macau"),
    ("855", "KH", "Asia/Phnom_Penh"),
    ("856", "LA", "Asia/Vientiane"),
    ("86", "CN", "Asia/Shanghai"),
    ("880", "BD", "Asia/Dhaka"),
    ("886", "TW", "Asia/Taipei"),
    ("90", "TR", "Europe/Istanbul"),
    ("91", "IN", "Asia/Kolkata"),
    ("92", "PK", "Asia/Karachi"),
    ("93", "AF", "Asia/Kabul"),
    ("94", "LK", "Asia/Colombo"),
    ("95", "MM", "Asia/Yangon"),
    ("960", "MV", "Indian/Maldives"),
    ("961", "LB", "Asia/Beirut"),
    ("962", "JO", "Asia/Amman"),
    ("963", "SY", "Asia/Damascus"),
    ("964", "IQ", "Asia/Baghdad"),
    ("965", "KW", "Asia/Kuwait"),
    ("966", "SA", "Asia/Riyadh"),
    ("967", "YE", "Asia/Aden"),
    ("968", "OM", "Asia/Muscat"),
    ("970", "PS", "Asia/Hebron"),
    ("971", "AE", "Asia/Dubai"),
    ("972", "IL", "Asia/Jerusalem"),
    ("973", "BH", "Asia/Bahrain"),
    ("974", "QA", "Asia/Qatar"),
    ("975", "BT", "Asia/Thimphu"),
    ("976", "MN", "Asia/Ulaanbaatar Asia/Hovd"),
    ("977", "NP", "Asia/Kathmandu"),
    ("992", "TJ", "Asia/Dushanbe"),
    ("993", "TM", "Asia/Ashgabat"),
    ("994", "AZ", "Asia/Baku"),
    ("995", "GE", "Asia/Tbilisi"),
    ("996", "KG", "Asia/Bishkek"),
    ("998", "UZ", "Asia/Tashkent"),
];

/// Area codes behind `+1`, several to a row; those that are not here are anywhere in the United States or Canada.
pub const AREAS: &[Row] = &[
    (
        "201 202 203 207 212 215 216 220 223 227 229 234 239 240 248 252 267 269 272 276 283 301 302 304 305 313 315 321 324 326 329 330 332 336 339 347 351 352 363 380 386 401 404 407 410 412 413 419 434 440 443 445 470 472 475 478 484 508 513 516 517 518 540 551 561 567 570 571 582 585 586 603 607 609 610 614 616 617 631 640 645 646 656 667 678 680 681 686 689 703 704 706 716 717 718 724 727 728 732 734 740 743 754 757 762 770 771 772 774 781 786 802 803 804 810 813 814 821 826 828 835 838 839 843 845 848 854 856 857 860 862 863 864 878 904 908 910 912 914 917 919 929 934 937 941 943 947 948 954 959 973 978 980 984 989",
        "US",
        "America/New_York",
    ),
    (
        "205 210 214 217 218 224 225 228 235 251 254 256 262 274 281 309 312 314 316 318 319 320 325 327 331 334 337 346 353 361 402 405 409 414 417 430 447 464 469 479 501 504 507 512 515 531 534 539 557 563 572 573 580 601 608 612 615 618 629 630 636 641 651 659 660 662 682 708 712 713 715 726 730 731 737 763 769 773 779 806 815 816 817 830 832 847 870 872 901 903 913 918 920 936 938 940 945 952 956 972 975 979 985",
        "US",
        "America/Chicago",
    ),
    (
        "303 307 385 406 435 505 575 719 720 748 801 970 983",
        "US",
        "America/Denver",
    ),
    ("480 520 602 623", "US", "America/Phoenix"),
    ("928", "US", "America/Phoenix America/Denver"),
    (
        "206 209 213 253 279 310 323 341 350 360 369 408 415 424 425 442 503 509 510 530 559 562 564 619 626 628 650 657 661 669 702 707 714 725 738 747 760 805 818 820 831 840 858 909 916 925 949 951 971",
        "US",
        "America/Los_Angeles",
    ),
    ("208 986", "US", "America/Denver America/Los_Angeles"),
    ("541 458 775", "US", "America/Denver America/Los_Angeles"),
    (
        "605 701 308 620 785 432 915",
        "US",
        "America/Chicago America/Denver",
    ),
    (
        "219 270 364 423 606 812 850 930 931 906 502 260 317 463 574 765 865 859 231 448",
        "US",
        "America/New_York America/Chicago",
    ),
    ("808", "US", "Pacific/Honolulu"),
    ("907", "US", "America/Anchorage America/Adak"),
    ("800 833 844 855 866 877 888", "US CA", EVERYWHERE),
    ("900", "US", US),
    (
        "226 249 263 273 289 343 354 365 367 382 416 437 438 450 468 514 519 548 579 581 613 647 683 705 742 753 819 873 905 942",
        "CA",
        "America/Toronto",
    ),
    ("418", "CA", "America/Toronto America/Halifax"),
    ("807", "CA", "America/Toronto America/Winnipeg"),
    ("204 431 584", "CA", "America/Winnipeg"),
    ("306 474 639", "CA", "America/Regina"),
    ("368 403 587 780 825", "CA", "America/Edmonton"),
    (
        "236 250 257 604 672 778",
        "CA",
        "America/Vancouver America/Edmonton",
    ),
    ("428 506 782 902", "CA", "America/Halifax"),
    ("709 879", "CA", "America/St_Johns America/Halifax"),
    (
        "867",
        "CA",
        "America/Whitehorse America/Edmonton America/Toronto",
    ),
    ("242", "BS", "America/Nassau"),
    ("246", "BB", "America/Barbados"),
    ("264", "AI", "America/Anguilla"),
    ("268", "AG", "America/Antigua"),
    ("284", "VG", "America/Tortola"),
    ("340", "VI", "America/St_Thomas"),
    ("345", "KY", "America/Cayman"),
    ("441", "BM", "Atlantic/Bermuda"),
    ("473", "GD", "America/Grenada"),
    ("649", "TC", "America/Grand_Turk"),
    ("658 876", "JM", "America/Jamaica"),
    ("664", "MS", "America/Montserrat"),
    ("670", "MP", "Pacific/Saipan"),
    ("671", "GU", "Pacific/Guam"),
    ("684", "AS", "Pacific/Pago_Pago"),
    ("721", "SX", "America/Lower_Princes"),
    ("758", "LC", "America/St_Lucia"),
    ("767", "DM", "America/Dominica"),
    ("784", "VC", "America/St_Vincent"),
    ("787 939", "PR", "America/Puerto_Rico"),
    ("809 829 849", "DO", "America/Santo_Domingo"),
    ("868", "TT", "America/Port_of_Spain"),
    ("869", "KN", "America/St_Kitts"),
];

/// Every row with one prefix each.
pub fn rows() -> impl Iterator<Item = (String, &'static str, &'static str)> {
    let areas = AREAS.iter().flat_map(|&(codes, countries, zones)| {
        codes
            .split(' ')
            .map(move |code| (format!("1{code}"), countries, zones))
    });
    COUNTRIES
        .iter()
        .map(|&(code, countries, zones)| (code.to_owned(), countries, zones))
        .chain(areas)
}

/// True when a country of this ISO code is in the table.
pub fn is_country(code: &str) -> bool {
    let named = |row: &Row| row.1.split(' ').any(|other| other == code);
    COUNTRIES.iter().chain(AREAS).any(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_there_once_and_its_zones_exist() {
        let mut seen = std::collections::BTreeSet::new();
        for (prefix, countries, zones) in rows() {
            assert!(seen.insert(prefix.clone()), "{prefix} stands twice");
            assert!(prefix.bytes().all(|byte| byte.is_ascii_digit()));
            assert!(countries.split(' ').all(|code| code.len() == 2));
            for zone in zones.split(' ') {
                assert!(jiff::tz::TimeZone::get(zone).is_ok(), "{zone}");
            }
        }
        assert!(is_country("GB") && is_country("PR") && !is_country("ZZ"));
    }
}
