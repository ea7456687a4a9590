require ["fileinto", "encoded-character"];
if header :contains "subject" "${hex: 5b 66}" { fileinto "hex${unicode:20ac}"; }
if header :matches "subject" "????aus*" { fileinto "jokers"; }
if header :matches "subject" "Re\: *" { fileinto "escaped"; }
if header :matches "subject" "\\[friends\\]*" { fileinto "brackets"; }
