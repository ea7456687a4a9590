require ["fileinto", "regex", "variables"];
if header :regex "subject" "^\\[([a-z]+)\\] (.*)$" { fileinto "${1}"; }
if header :regex "subject" "[0-9]{4}-[0-9]{2}" { fileinto "month"; }
if header :regex :comparator "i;octet" "subject" "^RE:" { fileinto "upper"; }
if header :regex "subject" "^RE:" { fileinto "re"; }
