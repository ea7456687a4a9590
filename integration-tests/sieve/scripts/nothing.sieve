if allof (true, not false, anyof (false, header :contains "subject" "")) { stop; }
discard;
