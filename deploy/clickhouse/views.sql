-- Predictions and labels as tables, from the events in otel_logs. Run after tables.sql, and again after an upgrade.
--
--   otel_ml_prediction_events   each predicted row as it was delivered, typed
--   otel_ml_predictions         each prediction once: the first under its id, model, version and role
--   otel_ml_label_events        each label as it was delivered
--   otel_ml_labels              the latest label of each prediction, and its first
--   otel_ml_waiting_labels      labels without a prediction
--   otel_ml_figures             figures by window, version, role and segment
--
-- `otel-ml evaluate` and `otel-ml compare` read otel_ml_predictions and otel_ml_labels; their columns are those of a
-- store in SQLite or PostgreSQL. Class texts are canonical, as the service wrote them.

CREATE OR REPLACE VIEW otel_ml_prediction_events AS
WITH
    -- NaN and infinities are no numbers.
    (text -> if(isFinite(toFloat64OrNull(text)), toFloat64OrNull(text), NULL)) AS to_number
SELECT
    if(is_row, JSONExtractString(row, 'id'), LogAttributes['ml.prediction.id']) AS id,
    LogAttributes['ml.model.name'] AS model,
    LogAttributes['ml.model.version'] AS version,
    LogAttributes['ml.model.role'] AS role,
    ServiceName AS service,
    if(mapContains(LogAttributes, 'ml.model.task'), LogAttributes['ml.model.task'], 'other') AS task,
    if(mapContains(LogAttributes, 'ml.model.positive_class'), LogAttributes['ml.model.positive_class'], NULL) AS positive,
    Timestamp AS time,
    multiIf(
        NOT is_row AND mapContains(LogAttributes, 'ml.prediction.class'), LogAttributes['ml.prediction.class'],
        is_row AND startsWith(given, '"'), JSONExtractString(row, 'prediction'),
        is_row AND startsWith(given, '['),
            concat('[', arrayStringConcat(arrayMap(item -> toJSONString(item), JSONExtract(given, 'Array(String)')), ', '), ']'),
        NULL) AS predicted,
    to_number(if(is_row, given, LogAttributes['ml.prediction.value'])) AS value,
    to_number(if(is_row, JSONExtractRaw(row, 'score'), LogAttributes['ml.prediction.score'])) AS score,
    to_number(LogAttributes['ml.prediction.duration']) AS duration,
    TraceId AS trace_id,
    SpanId AS span_id,
    bitAnd(TraceFlags, 1) = 1 AS sampled,
    JSONExtractRaw(row, 'features') AS features
FROM (
    SELECT
        *,
        mapContains(LogAttributes, 'ml.prediction.batch.size') AS is_row,
        arrayJoin(if(is_row, JSONExtractArrayRaw(Body, 'rows'), [Body])) AS row,
        JSONExtractRaw(row, 'prediction') AS given
    FROM otel_logs
    WHERE EventName = 'ml.prediction' AND NOT mapContains(LogAttributes, 'error.type')
)
-- A result in which nothing was recognised is no prediction, and an id that was redacted may be that of many.
WHERE (predicted IS NOT NULL OR value IS NOT NULL OR score IS NOT NULL) AND position(id, '****') = 0;

CREATE OR REPLACE VIEW otel_ml_predictions AS
WITH JSONExtract(features, 'Map(String, String)') AS texts
SELECT
    id,
    model,
    version,
    role,
    argMin(service, place) AS service,
    argMin(task, place) AS task,
    argMin(tuple(positive), place).1 AS positive,
    min(toUnixTimestamp64Nano(time)) / 1e9 AS predicted_at,
    argMin(tuple(predicted), place).1 AS predicted,
    argMin(tuple(value), place).1 AS value,
    argMin(tuple(score), place).1 AS score,
    argMin(trace_id, place) AS trace_id,
    argMin(span_id, place) AS span_id,
    argMin(sampled, place) AS sampled,
    CAST(NULL, 'Nullable(String)') AS classes,
    CAST(NULL, 'Nullable(String)') AS probabilities,
    -- An event that was delivered twice is one prediction.
    uniqExact(place) - 1 AS repeated,
    argMin(features, place) AS features,
    -- Each captured feature as text, as segment columns are read.
    toJSONString(CAST(
        (mapKeys(texts), arrayMap(text -> multiIf(text = 'true', 'True', text = 'false', 'False', text), mapValues(texts))),
        'Map(String, String)')) AS segments
FROM (SELECT *, (time, span_id) AS place FROM otel_ml_prediction_events)
GROUP BY id, model, version, role;

CREATE OR REPLACE VIEW otel_ml_label_events AS
WITH
    -- A number as people write it, such as 12.50 or +1e3, and neither .5 nor inf.
    (text -> if(
        match(text, '^[-+]?[0-9]{1,40}([.][0-9]{0,40})?([eE][-+]?[0-9]{1,3})?$') AND isFinite(toFloat64OrNull(text)),
        toFloat64OrNull(text), NULL)) AS to_number
SELECT
    LogAttributes['ml.prediction.id'] AS id,
    LogAttributes['ml.model.name'] AS model,
    LogAttributes['ml.model.version'] AS version,
    LogAttributes['ml.model.role'] AS role,
    Timestamp AS time,
    -- Blanks around a label are not part of it.
    replaceRegexpAll(LogAttributes['ml.label.value'], '^\\s+|\\s+$', '') AS text,
    -- The body has a number with all of its digits.
    coalesce(to_number(JSONExtractRaw(Body, 'label')), to_number(text)) AS amount
FROM otel_logs
WHERE EventName = 'ml.label' AND position(id, '****') = 0;

CREATE OR REPLACE VIEW otel_ml_labels AS
SELECT
    id,
    model,
    version,
    role,
    toNullable(argMax(text, time)) AS label,
    argMax(tuple(amount), time).1 AS number,
    toNullable(max(toUnixTimestamp64Nano(time)) / 1e9) AS labeled_at,
    toNullable(argMin(text, time)) AS first_label,
    toNullable(min(toUnixTimestamp64Nano(time)) / 1e9) AS first_labeled_at
FROM (
    SELECT id, model, version, role, time, text, amount FROM otel_ml_label_events WHERE role != ''
    UNION ALL
    -- A label without a role, such as one that was inserted by hand, is for every version and role that predicted under its id.
    SELECT id, model, p.version AS version, p.role AS role, time, text, amount
    FROM (SELECT DISTINCT id, model, version, role FROM otel_ml_prediction_events) AS p
    INNER JOIN (SELECT id, model, time, text, amount FROM otel_ml_label_events WHERE role = '') AS given USING (id, model)
)
GROUP BY id, model, version, role;

-- By the time of the predictions. Parameters: `start` and `end`; `step`, the seconds of a window; `segment`, the name of a
-- captured feature, or '' for none.
--   SELECT * FROM otel_ml_figures(start = '2026-11-01', end = '2026-12-01', step = 86400, segment = 'region')
-- Figures are those of scikit-learn, and NULL where undefined: precision, recall and F1 are those of the positive class, else
-- the mean over the classes.
CREATE OR REPLACE VIEW otel_ml_figures AS
WITH
    -- Seven significant digits, and a whole number as its digits.
    (number -> if(number = trunc(number), number, toFloat64(printf('%.6e', number)))) AS shorten,
    (number -> if(number = trunc(number), toDecimalString(number, 0), toString(number))) AS digits,
    -- The one rule of equality: a number and a boolean mean the same in any spelling. See otel_ml/quality/README.md.
    (text -> multiIf(
        text IS NULL, NULL,
        text IN ('True', 'true', 'TRUE'), '1',
        text IN ('False', 'false', 'FALSE'), '0',
        match(text, '^[-+]?0([.]0{1,20})?$'), '0',
        match(text, '^[-+]?[1-9][0-9]{0,15}([.]0{1,20})?$'), extract(assumeNotNull(text), '-?[0-9]+'),
        match(text, '^[-+]?(0|[1-9][0-9]{0,15})([.][0-9]{1,20})?([eE][-+][0-9]{2,3})?$')
            AND abs(toFloat64OrZero(assumeNotNull(text))) < 1e60,
            digits(shorten(toFloat64OrZero(assumeNotNull(text)))),
        text)) AS canonical,
    (text -> if(text IS NULL, NULL,
        toJSONString(arraySort(arrayDistinct(JSONExtract(assumeNotNull(text), 'Array(String)')))))) AS as_set,
    rows AS (
        SELECT
            toDateTime({start:DateTime}) + toIntervalSecond(
                intDiv(toUInt32(predicted_at) - toUInt32({start:DateTime}), {step:UInt32}) * {step:UInt32}) AS window_start,
            p.model AS model,
            p.version AS version,
            p.role AS role,
            if({segment:String} = '', '', JSONExtractString(segments, {segment:String})) AS segment,
            task,
            l.label IS NOT NULL AS is_labelled,
            if(task = 'multilabel', as_set(p.predicted), canonical(p.predicted)) AS predicted,
            if(task = 'multilabel', as_set(l.label), canonical(l.label)) AS label,
            canonical(p.positive) AS positive,
            if(is_labelled AND task != 'multiclass', p.score, NULL) AS probability,
            -- A larger error would hide all others.
            if(task = 'regression' AND abs(p.value - l.number) <= 1e70, p.value - l.number, NULL) AS error
        FROM otel_ml_predictions AS p
        LEFT JOIN otel_ml_labels AS l ON p.id = l.id AND p.model = l.model AND p.version = l.version AND p.role = l.role
        WHERE predicted_at >= toUInt32({start:DateTime}) AND predicted_at < toUInt32({end:DateTime})
    ),
    ranked AS (
        -- The mean of the first and the last place of equal probabilities.
        SELECT
            *,
            is_labelled AND predicted IS NOT NULL AND task != 'regression' AS is_judged,
            task = 'multiclass' AS is_multiclass,
            (rank() OVER by_score + count() OVER by_score) / 2 AS place
        FROM rows
        WINDOW by_score AS (PARTITION BY window_start, model, version, role, segment, probability IS NULL ORDER BY probability)
    ),
    pairs AS (
        SELECT
            window_start,
            model,
            version,
            role,
            segment,
            any(task) AS task,
            max(is_multiclass) AS has_multiclass,
            groupUniqArray(positive) AS declared,
            predicted,
            label,
            is_judged,
            count() AS times,
            count(probability) AS scored,
            sumIf(place, probability IS NOT NULL) AS places,
            ifNull(sum(pow(1 - probability, 2)), 0) AS squares_if_positive,
            ifNull(sum(pow(probability, 2)), 0) AS squares_if_not,
            min(probability) AS lowest,
            max(probability) AS highest,
            count(error) AS errors,
            sum(abs(error)) AS absolute,
            sum(error * error) AS squared,
            sum(error) AS signed
        FROM ranked
        GROUP BY window_start, model, version, role, segment, predicted, label, is_labelled, is_judged
    ),
    gathered AS (
        SELECT
            window_start,
            model,
            version,
            role,
            segment,
            any(task) AS task,
            max(has_multiclass) AS is_multiclass,
            sum(times) AS predicted_rows,
            sumIf(times, label IS NOT NULL) AS labelled,
            sumIf(times, is_judged) AS judged,
            groupArrayIf((assumeNotNull(predicted), assumeNotNull(label), times), is_judged) AS outcomes,
            groupArrayIf((assumeNotNull(label), scored, places, squares_if_positive, squares_if_not), scored > 0) AS sums,
            groupUniqArrayIf(assumeNotNull(predicted), is_judged) AS predicted_classes,
            groupUniqArrayIf(assumeNotNull(label), is_judged) AS actual_classes,
            arrayDistinct(arrayConcat(predicted_classes, groupUniqArray(label))) AS names,
            groupUniqArrayArray(declared) AS known,
            min(lowest) AS lowest,
            max(highest) AS highest,
            sum(errors) AS errors,
            sum(absolute) AS absolute,
            sum(squared) AS squared,
            sum(signed) AS signed
        FROM pairs
        GROUP BY window_start, model, version, role, segment
    ),
    described AS (
        SELECT
            *,
            -- Without declared classes there is a positive one if all are 0 and 1, or no and yes.
            multiIf(
                is_multiclass OR length(known) > 1 OR empty(names), NULL,
                notEmpty(known), known[1],
                hasAll(['0', '1'], names), '1',
                hasAll(['no', 'yes'], names), 'yes',
                hasAll(['No', 'Yes'], names), 'Yes',
                hasAll(['NO', 'YES'], names), 'YES',
                hasAll(['n', 'y'], names), 'y',
                hasAll(['N', 'Y'], names), 'Y',
                NULL) AS positive
        FROM gathered
    ),
    counted AS (
        SELECT
            *,
            arraySum(each -> if(each.1 = each.2, each.3, 0), outcomes) AS correct,
            arraySum(each -> if(each.1 = positive AND each.2 = positive, each.3, 0), outcomes) AS tp,
            arraySum(each -> if(each.1 = positive AND each.2 != positive, each.3, 0), outcomes) AS fp,
            arraySum(each -> if(each.1 != positive AND each.2 = positive, each.3, 0), outcomes) AS fn,
            -- Of each class how often it was both, was predicted, and was true.
            arrayMap(
                name -> (
                    arraySum(each -> if(each.1 = name AND each.2 = name, each.3, 0), outcomes),
                    arraySum(each -> if(each.1 = name, each.3, 0), outcomes),
                    arraySum(each -> if(each.2 = name, each.3, 0), outcomes)),
                arrayDistinct(arrayConcat(predicted_classes, actual_classes))) AS classes,
            if(positive IS NULL, 0, arraySum(each -> each.2, sums)) AS scored,
            arraySum(each -> if(each.1 = positive, each.2, 0), sums) AS positives,
            arraySum(each -> if(each.1 = positive, each.3, 0), sums) AS places,
            arraySum(each -> if(each.1 = positive, each.4, each.5), sums) AS squares,
            -- With no class in common and none that is positive, the two sides are of different vocabularies.
            judged > 0 AND task NOT IN ('multilabel', 'ranking')
                AND (hasAny(predicted_classes, actual_classes) OR positive IS NOT NULL) AS is_defined
        FROM described
    )
SELECT
    window_start,
    model,
    version,
    role,
    segment,
    task,
    positive,
    predicted_rows AS predicted,
    labelled,
    if(task = 'regression', errors, judged) AS count,
    scored,
    if(is_defined, correct / judged, NULL) AS accuracy,
    if(task = 'multilabel' AND judged > 0, correct / judged, NULL) AS exact_match,
    multiIf(
        NOT is_defined, NULL,
        positive IS NULL, arrayAvg(each -> if(each.2 = 0, 0, each.1 / each.2), classes),
        tp + fp = 0, NULL,
        tp / (tp + fp)) AS precision,
    multiIf(
        NOT is_defined, NULL,
        positive IS NULL, arrayAvg(each -> if(each.3 = 0, 0, each.1 / each.3), classes),
        tp + fn = 0, NULL,
        tp / (tp + fn)) AS recall,
    multiIf(
        NOT is_defined, NULL,
        positive IS NULL, arrayAvg(each -> 2 * each.1 / (each.2 + each.3), classes),
        tp + fp + fn = 0, NULL,
        2 * tp / (2 * tp + fp + fn)) AS f1,
    if(positives = 0 OR positives = scored, NULL,
        (places - positives * (positives + 1) / 2) / (positives * (scored - positives))) AS auc,
    if(scored > 0 AND lowest >= 0 AND highest <= 1, squares / scored, NULL) AS brier_score,
    if(errors = 0, NULL, absolute / errors) AS mae,
    if(errors = 0, NULL, sqrt(squared / errors)) AS rmse,
    if(errors = 0, NULL, signed / errors) AS bias
FROM counted;

-- Labels whose prediction is not here: it was not sampled (`Model(events="all")` keeps all), was left out of a batch of more
-- than 100 rows, or has another id.
CREATE OR REPLACE VIEW otel_ml_waiting_labels AS
SELECT id, model, argMax(text, time) AS label, toNullable(max(toUnixTimestamp64Nano(time)) / 1e9) AS labeled_at
FROM otel_ml_label_events
WHERE (id, model) NOT IN (SELECT id, model FROM otel_ml_prediction_events)
GROUP BY id, model;
