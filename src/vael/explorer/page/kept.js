// The page without a server: everything that it shows is in its own file.
import { begin } from "./explorer.js";
import { localAnswers } from "./local.js";

begin(localAnswers(JSON.parse(document.getElementById("kept").textContent)));
