import "./setup.js";
import "../presence.test.js";
