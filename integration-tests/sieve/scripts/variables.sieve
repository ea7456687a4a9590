require ["fileinto", "variables"];
set "base" "INFO";
set :lower "low" "${base}X";
set :length "n" "${low}";
set :upperfirst :lower "name" "jUMBLE";
if header :matches "subject" "*: *" { set "rest" "${2}"; set "pre" "${1}"; }
if string :is "${rest}" "" { set "rest" "none"; }
if address :matches "from" "*@*.*" { fileinto "${low}.${n}.${name}.${1}.${2}.${3}"; }
fileinto "${pre}-${rest}-${unknown}";
