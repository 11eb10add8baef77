/* A stand-in for libnvidia-ml.so.1 that the real nvidia-ml-py loads. It answers from a scenario file, counts calls and
 * overlapping calls, and knows when it was called after its shutdown. The lines of a scenario are described in README.md.
 * It proves the logic of the caller, not NVIDIA's. */
#define _GNU_SOURCE
#include <ctype.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MAX_RULES = 8192,
    MAX_GPUS = 80,
    MAX_MIG = 8,
    MAX_CALLS = 64,
    ANY = -1,
};
enum {
    OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    TIMEOUT = 10, LIBRARY_NOT_FOUND = 12, VERSION_MISMATCH = 25, NO_LINE = -1000,
};
enum op { RETURN, DELAY, VALUE, TEXT, PROCESS, BUSY, EVENT };

struct rule {
    double from, until;
    int gpu, mig;
    enum op op;
    char name[64];
    char text[96];
    double value, rate;
    int bits, type;
    long numbers[6];
    int given;
};

struct device { int gpu, mig; };
struct call { char name[48]; long count; };
struct sample { double at; int gpu, mig; };

static struct rule rules[MAX_RULES];
static int rule_count;
static struct device devices[MAX_GPUS][MAX_MIG + 1]; /* [gpu][0] is the GPU, [gpu][1 + n] its MIG device n */
static struct call calls[MAX_CALLS];
static int call_count;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static atomic_int inside, overlaps, released, initialised;
static atomic_long after_shutdown;
static double manual_time = -1; /* below 0: seconds since the scenario was loaded */
static struct timespec loaded_at;
static int event_sets, gpm_samples, registered[MAX_GPUS];
static long event_mask[MAX_GPUS];

static double now(void)
{
    struct timespec t;
    if (manual_time >= 0) return manual_time;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)(t.tv_sec - loaded_at.tv_sec) + (double)(t.tv_nsec - loaded_at.tv_nsec) / 1e9;
}

/* --- the scenario ------------------------------------------------------------------------------------------------- */

static int parse(char *line, struct rule *rule)
{
    static const char *ops[] = {"return", "delay", "value", "text", "process", "busy", "event"};
    char from[32], until[32], target[32], op[16], *rest;
    int used = 0, found = -1;
    memset(rule, 0, sizeof *rule);
    if (sscanf(line, "%31s %31s %31s %15s %63s%n", from, until, target, op, rule->name, &used) != 5) return -1;
    rule->from = atof(from);
    rule->until = strcmp(until, "-") == 0 ? 1e300 : atof(until);
    rule->gpu = rule->mig = ANY;
    if (strcmp(target, "*") != 0) {
        rule->gpu = atoi(target);
        rule->mig = strchr(target, ':') ? atoi(strchr(target, ':') + 1) : -2; /* -2: the GPU itself */
    }
    for (int i = 0; i < 7; i++)
        if (strcmp(op, ops[i]) == 0) found = i;
    if (found < 0) return -1;
    rule->op = found;
    rest = line + used;
    while (*rest == ' ') rest++;
    rest[strcspn(rest, "\n")] = 0;
    snprintf(rule->text, sizeof rule->text, "%.95s", rest);
    rule->type = 3;
    if (rule->op == VALUE || rule->op == RETURN || rule->op == DELAY) {
        char *word, *state = NULL, copy[96];
        snprintf(copy, sizeof copy, "%s", rule->text);
        word = strtok_r(copy, " ", &state);
        rule->value = word ? atof(word) : 0;
        while (word && (word = strtok_r(NULL, " ", &state))) {
            char *number = strtok_r(NULL, " ", &state);
            if (!number) return -1;
            if (strcmp(word, "rate") == 0) rule->rate = atof(number);
            else if (strcmp(word, "bits") == 0) rule->bits = atoi(number);
            else if (strcmp(word, "type") == 0) rule->type = atoi(number);
            else return -1;
        }
    } else if (rule->op != TEXT) { /* numbers, the first of them in the place of the name */
        char *next = rule->text;
        rule->numbers[0] = strcmp(rule->name, "-") == 0 ? -1 : atol(rule->name);
        for (rule->given = 1; rule->given < 6; rule->given++) {
            while (*next == ' ') next++;
            if (!*next) break;
            rule->numbers[rule->given] = *next == '-' && (next[1] == ' ' || !next[1]) ? -1 : strtol(next, NULL, 0);
            next += strcspn(next, " ");
        }
    }
    return 0;
}

/* Loads a scenario and forgets all counts; 0, or the number of the first bad line. An empty path means no driver. */
int fake_load(const char *path)
{
    char line[512];
    int number = 0;
    FILE *file = *path ? fopen(path, "r") : NULL;
    pthread_mutex_lock(&mutex);
    rule_count = call_count = 0;
    overlaps = released = initialised = 0;
    after_shutdown = 0;
    event_sets = gpm_samples = 0;
    memset(registered, 0, sizeof registered);
    clock_gettime(CLOCK_MONOTONIC, &loaded_at);
    for (int gpu = 0; gpu < MAX_GPUS; gpu++)
        for (int mig = 0; mig <= MAX_MIG; mig++) devices[gpu][mig] = (struct device){gpu, mig - 1};
    while (file && fgets(line, sizeof line, file)) {
        number++;
        if (line[0] == '#' || line[strspn(line, " \n")] == 0) continue;
        if (rule_count == MAX_RULES || parse(line, &rules[rule_count]) != 0) {
            rule_count = 0;
            fclose(file);
            pthread_mutex_unlock(&mutex);
            return number;
        }
        rule_count++;
    }
    if (file) fclose(file);
    pthread_mutex_unlock(&mutex);
    return *path && !file ? -1 : 0;
}

void fake_time(double seconds) { manual_time = seconds; }
void fake_release(void) { released = 1; }
int fake_overlaps(void) { return overlaps; }
int fake_inside(void) { return inside; }
long fake_after_shutdown(void) { return after_shutdown; }
int fake_event_sets(void) { return event_sets; }
int fake_gpm_samples(void) { return gpm_samples; }
int fake_initialised(void) { return initialised; }

long fake_calls(const char *name)
{
    long count = 0;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < call_count; i++)
        if (*name == 0 || strcmp(calls[i].name, name) == 0) count += calls[i].count;
    pthread_mutex_unlock(&mutex);
    return count;
}

void fake_forget_calls(void)
{
    pthread_mutex_lock(&mutex);
    call_count = 0;
    pthread_mutex_unlock(&mutex);
}

/* "name count" a line; for a process that ends, and for a caller that reads the whole table. */
int fake_table(char *buffer, int size)
{
    int used = 0;
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < call_count && used < size; i++)
        used += snprintf(buffer + used, size - used, "%s %ld\n", calls[i].name, calls[i].count);
    pthread_mutex_unlock(&mutex);
    return used;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("FAKE_NVML_SCENARIO");
    fake_load(path ? path : "");
}

__attribute__((destructor)) static void end(void)
{
    const char *path = getenv("FAKE_NVML_COUNTS");
    static char buffer[8192];
    FILE *file = path ? fopen(path, "w") : NULL;
    if (!file) return;
    fake_table(buffer, sizeof buffer);
    fprintf(file, "%soverlaps %d\nafter_shutdown %ld\ninside %d\ninitialised %d\nevent_sets %d\ngpm_samples %d\n", buffer,
            overlaps, (long)after_shutdown, inside, initialised, event_sets, gpm_samples);
    fclose(file);
}

static const struct rule *find(enum op op, const char *name, int gpu, int mig)
{
    double t = now();
    for (int i = rule_count - 1; i >= 0; i--) { /* of several lines the last one holds */
        const struct rule *rule = &rules[i];
        if (rule->op != op || t < rule->from || t >= rule->until) continue;
        if (rule->gpu != ANY && (rule->gpu != gpu || (rule->mig == -2 ? -1 : rule->mig) != mig)) continue;
        if (strcmp(rule->name, name) == 0 || (strcmp(rule->name, "*") == 0 && op != VALUE)) return rule;
    }
    return NULL;
}

static int number(const char *name, int gpu, int mig, double *value, int *type)
{
    const struct rule *rule = find(VALUE, name, gpu, mig);
    if (!rule) return 0;
    *value = rule->value + rule->rate * (now() - rule->from);
    if (rule->bits) {
        double size = rule->bits == 64 ? 18446744073709551616.0 : (double)(1ULL << rule->bits);
        *value -= size * (double)(long long)(*value / size);
    }
    if (type) *type = rule->type;
    return 1;
}

static double value_or(const char *name, const struct device *device, double fallback)
{
    double value;
    return number(name, device->gpu, device->mig, &value, NULL) ? value : fallback;
}

/* --- what surrounds every call ------------------------------------------------------------------------------------ */

static void count(const char *name)
{
    pthread_mutex_lock(&mutex);
    for (int i = 0; i < call_count; i++)
        if (strcmp(calls[i].name, name) == 0) {
            calls[i].count++;
            pthread_mutex_unlock(&mutex);
            return;
        }
    if (call_count < MAX_CALLS) {
        snprintf(calls[call_count].name, sizeof calls[0].name, "%s", name);
        calls[call_count++].count = 1;
    }
    pthread_mutex_unlock(&mutex);
}

static int is_wait(const char *name) { return strcmp(name, "nvmlEventSetWait_v2") == 0; }

static void leave(const char *name)
{
    if (!is_wait(name)) inside--;
}

/* Counts the call, waits as the scenario says, and gives the code that it asks for, or NO_LINE. */
static int enter(const char *name, const struct device *device)
{
    int gpu = device ? device->gpu : ANY - 1, mig = device ? device->mig : ANY - 1;
    const struct rule *rule;
    int is_start = strcmp(name, "nvmlInitWithFlags") == 0;
    count(name);
    /* events are asked for beside the rest, which the real library allows */
    if (!is_wait(name) && inside++ > 0) overlaps++;
    if (!initialised && !is_start) {
        after_shutdown++;
        return UNINITIALIZED;
    }
    rule = find(DELAY, name, gpu, mig);
    for (double left = rule ? rule->value : 0; left > 0 && !released; left -= 5) {
        struct timespec pause = {0, 5000000};
        nanosleep(&pause, NULL);
    }
    rule = find(RETURN, name, gpu, mig);
    if (is_start && rule_count == 0) return LIBRARY_NOT_FOUND;
    return rule ? (int)rule->value : NO_LINE;
}

/* A count that has nothing to do with what was written, as of a driver whose structure is another one. */
static void miscount(const char *name, const struct device *device, unsigned *size)
{
    char key[64];
    double value;
    snprintf(key, sizeof key, "count:%s", name);
    if (number(key, device->gpu, device->mig, &value, NULL)) *size = (unsigned)value;
}

#define CALL(NAME, DEVICE)                          \
    const char *name_ = NAME;                       \
    int code_ = enter(name_, DEVICE);               \
    if (code_ != NO_LINE && code_ != OK) {          \
        leave(name_);                               \
        return code_;                               \
    }
#define DONE(CODE)     \
    do {               \
        int c_ = CODE; \
        leave(name_);  \
        return c_;     \
    } while (0)

/* --- the library -------------------------------------------------------------------------------------------------- */

typedef struct device *handle;

static int single(handle h, const char *function, const char *key, unsigned *out)
{
    double value;
    CALL(function, h);
    if (!number(key, h->gpu, h->mig, &value, NULL)) DONE(NOT_SUPPORTED);
    *out = (unsigned)(long long)value;
    DONE(OK);
}

int nvmlInitWithFlags(unsigned flags)
{
    CALL("nvmlInitWithFlags", NULL);
    initialised++;
    DONE(OK);
}

int nvmlShutdown(void)
{
    CALL("nvmlShutdown", NULL);
    initialised--;
    DONE(OK);
}

const char *nvmlErrorString(int code)
{
    static char text[32];
    snprintf(text, sizeof text, "error %d", code);
    return text;
}

int nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    const struct rule *rule;
    CALL("nvmlSystemGetDriverVersion", NULL);
    rule = find(TEXT, "driver", ANY - 1, ANY - 1);
    snprintf(out, size, "%s", rule ? rule->text : "580.00");
    DONE(OK);
}

int nvmlDeviceGetCount_v2(unsigned *out)
{
    static const struct device none = {ANY - 1, ANY - 1};
    CALL("nvmlDeviceGetCount_v2", NULL);
    *out = (unsigned)value_or("gpus", &none, 0);
    DONE(OK);
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, handle *out)
{
    const struct device *device = index < MAX_GPUS ? &devices[index][0] : NULL;
    CALL("nvmlDeviceGetHandleByIndex_v2", device);
    if (!device) DONE(INVALID_ARGUMENT);
    *out = &devices[index][0];
    DONE(OK);
}

static int text(handle h, const char *function, const char *key, char *out, unsigned size)
{
    const struct rule *rule;
    CALL(function, h);
    rule = find(TEXT, key, h->gpu, h->mig);
    if (!rule) snprintf(out, size, "%s-%d", strcmp(key, "uuid") == 0 ? (h->mig < 0 ? "GPU" : "MIG") : "Fake", h->gpu);
    else snprintf(out, size, "%s", rule->text);
    DONE(OK);
}

int nvmlDeviceGetUUID(handle h, char *out, unsigned size) { return text(h, "nvmlDeviceGetUUID", "uuid", out, size); }
int nvmlDeviceGetName(handle h, char *out, unsigned size) { return text(h, "nvmlDeviceGetName", "name", out, size); }

/* nvmlPciInfo_t; only the text of the address is filled in. */
int nvmlDeviceGetPciInfo_v3(handle h, char *out)
{
    const struct rule *rule;
    CALL("nvmlDeviceGetPciInfo_v3", h);
    rule = find(TEXT, "pci", h->gpu, h->mig);
    if (!rule) DONE(NOT_SUPPORTED);
    memset(out, 0, 68);
    snprintf(out + 36, 32, "%.31s", rule->text);
    DONE(OK);
}

int nvmlDeviceGetUtilizationRates(handle h, unsigned *out)
{
    double gpu;
    CALL("nvmlDeviceGetUtilizationRates", h);
    if (!number("utilization", h->gpu, h->mig, &gpu, NULL)) DONE(NOT_SUPPORTED);
    out[0] = (unsigned)(long long)gpu;
    out[1] = (unsigned)(long long)value_or("memory_activity", h, 0);
    DONE(OK);
}

/* Ten samples a second while "samples" is set, each with the same share. */
int nvmlDeviceGetSamples(handle h, unsigned kind, uint64_t since, unsigned *type, unsigned *size, uint64_t *out)
{
    double share, t = now();
    unsigned found = 0;
    CALL("nvmlDeviceGetSamples", h);
    if (kind != 1 || !number("samples", h->gpu, h->mig, &share, (int *)type)) DONE(NOT_SUPPORTED);
    *type = 1;
    for (int step = 99; step >= 0; step--) {
        double at = t - step * 0.1;
        uint64_t stamp = at <= 0 ? 0 : (uint64_t)(at * 1e6);
        if (stamp == 0 || stamp <= since) continue;
        if (out && found < *size) {
            out[2 * found] = stamp;
            out[2 * found + 1] = (unsigned)(long long)share;
        }
        found++;
    }
    if (found == 0) DONE(NOT_FOUND);
    if (out && found > *size) DONE(INSUFFICIENT_SIZE);
    *size = found;
    miscount(name_, h, size);
    DONE(OK);
}

static int memory(handle h, const char *function, uint64_t *total, uint64_t *reserved, uint64_t *free_, uint64_t *used)
{
    double all;
    CALL(function, h);
    if (!number("memory.total", h->gpu, h->mig, &all, NULL)) DONE(NOT_SUPPORTED);
    *total = all < 0 ? ~0ULL : (uint64_t)all;
    *free_ = all < 0 ? ~0ULL : (uint64_t)value_or("memory.free", h, 0);
    *reserved = (uint64_t)value_or("memory.reserved", h, 0);
    *used = *total - *free_ - *reserved;
    DONE(OK);
}

int nvmlDeviceGetMemoryInfo(handle h, uint64_t *out)
{
    uint64_t reserved = 0;
    int code = memory(h, "nvmlDeviceGetMemoryInfo", &out[0], &reserved, &out[1], &out[2]);
    if (code == OK) out[2] += reserved;
    return code;
}

struct memory_v2 { unsigned version; uint64_t total, reserved, free, used; };

int nvmlDeviceGetMemoryInfo_v2(handle h, struct memory_v2 *out)
{
    if (out->version != 0x02000028) return VERSION_MISMATCH;
    return memory(h, "nvmlDeviceGetMemoryInfo_v2", &out->total, &out->reserved, &out->free, &out->used);
}

struct field_value { unsigned field, scope; int64_t timestamp, latency; unsigned type, code; uint64_t value; };

int nvmlDeviceGetFieldValues(handle h, int size, struct field_value *values)
{
    CALL("nvmlDeviceGetFieldValues", h);
    for (int i = 0; i < size; i++) {
        char key[32];
        double value;
        int type;
        const struct rule *rule;
        snprintf(key, sizeof key, "field:%u", values[i].field);
        values[i].latency = 7;
        values[i].timestamp = (int64_t)(now() * 1e6);
        rule = find(RETURN, key, h->gpu, h->mig);
        values[i].code = rule ? (unsigned)rule->value : OK;
        if (values[i].code != OK) continue;
        if (!number(key, h->gpu, h->mig, &value, &type)) {
            values[i].code = NOT_SUPPORTED;
            continue;
        }
        values[i].type = (unsigned)type;
        values[i].value = 0;
        if (type == 0) memcpy(&values[i].value, &value, sizeof value);
        else if (value < 0) values[i].value = (uint64_t)(int64_t)value;
        else values[i].value = (uint64_t)value;
        if (type == 1 || type == 5) values[i].value &= 0xFFFFFFFF;
    }
    DONE(OK);
}

int nvmlDeviceGetPowerUsage(handle h, unsigned *out) { return single(h, "nvmlDeviceGetPowerUsage", "power", out); }
int nvmlDeviceGetEnforcedPowerLimit(handle h, unsigned *out)
{
    return single(h, "nvmlDeviceGetEnforcedPowerLimit", "power_limit", out);
}

struct temperature { unsigned version, sensor; int temperature; };

int nvmlDeviceGetTemperatureV(handle h, struct temperature *out)
{
    return single(h, "nvmlDeviceGetTemperatureV", "temperature", (unsigned *)&out->temperature);
}
int nvmlDeviceGetTemperature(handle h, unsigned sensor, unsigned *out)
{
    return single(h, "nvmlDeviceGetTemperature", "temperature", out);
}
int nvmlDeviceGetTemperatureThreshold(handle h, unsigned kind, unsigned *out)
{
    char key[32];
    snprintf(key, sizeof key, "threshold:%u", kind);
    return single(h, "nvmlDeviceGetTemperatureThreshold", key, out);
}
int nvmlDeviceGetNumFans(handle h, unsigned *out) { return single(h, "nvmlDeviceGetNumFans", "fans", out); }
int nvmlDeviceGetFanSpeed_v2(handle h, unsigned fan, unsigned *out)
{
    return single(h, "nvmlDeviceGetFanSpeed_v2", "fan", out);
}
int nvmlDeviceGetEncoderUtilization(handle h, unsigned *out, unsigned *period)
{
    *period = 0;
    return single(h, "nvmlDeviceGetEncoderUtilization", "encoder", out);
}
int nvmlDeviceGetDecoderUtilization(handle h, unsigned *out, unsigned *period)
{
    *period = 0;
    return single(h, "nvmlDeviceGetDecoderUtilization", "decoder", out);
}
int nvmlDeviceGetClockInfo(handle h, unsigned kind, unsigned *out)
{
    char key[32];
    snprintf(key, sizeof key, "clock:%u", kind);
    return single(h, "nvmlDeviceGetClockInfo", key, out);
}

static int reasons(handle h, const char *function, uint64_t *out)
{
    unsigned bits = 0;
    int code = single(h, function, "reasons", &bits);
    *out = bits;
    return code;
}

int nvmlDeviceGetCurrentClocksEventReasons(handle h, uint64_t *out)
{
    return reasons(h, "nvmlDeviceGetCurrentClocksEventReasons", out);
}
int nvmlDeviceGetCurrentClocksThrottleReasons(handle h, uint64_t *out)
{
    return reasons(h, "nvmlDeviceGetCurrentClocksThrottleReasons", out);
}

/* 20 ms, as the real one; the sampler must never call it. */
int nvmlDeviceGetPcieThroughput(handle h, unsigned counter, unsigned *out)
{
    struct timespec pause = {0, 20000000};
    nanosleep(&pause, NULL);
    return single(h, "nvmlDeviceGetPcieThroughput", "pcie", out);
}

struct process { unsigned pid; uint64_t memory; unsigned gpu_instance, compute_instance; };

int nvmlDeviceGetComputeRunningProcesses_v3(handle h, unsigned *size, struct process *out)
{
    unsigned found = 0, room = out ? *size : 0;
    double t = now();
    CALL("nvmlDeviceGetComputeRunningProcesses_v3", h);
    for (int i = 0; i < rule_count; i++) {
        const struct rule *rule = &rules[i];
        if (rule->op != PROCESS || rule->gpu != h->gpu || (rule->mig == -2 ? -1 : rule->mig) != h->mig) continue;
        if (t < rule->from || t >= rule->until) continue;
        if (found < room) out[found] = (struct process){(unsigned)rule->numbers[0], (uint64_t)rule->numbers[1], ~0u, ~0u};
        found++;
    }
    *size = found;
    miscount(name_, h, size);
    DONE(found > room ? INSUFFICIENT_SIZE : OK);
}

struct utilization { unsigned pid; uint64_t stamp; unsigned sm, memory, encoder, decoder; };

int nvmlDeviceGetProcessUtilization(handle h, struct utilization *out, unsigned *size, uint64_t since)
{
    unsigned found = 0, room = out ? *size : 0;
    double t = now();
    CALL("nvmlDeviceGetProcessUtilization", h);
    for (int i = 0; i < rule_count; i++) {
        const struct rule *rule = &rules[i];
        if (rule->op != BUSY || rule->gpu != h->gpu || t < rule->from || t >= rule->until) continue;
        if ((uint64_t)(t * 1e6) <= since) continue;
        if (found < room)
            out[found] = (struct utilization){(unsigned)rule->numbers[0], (uint64_t)(t * 1e6), (unsigned)rule->numbers[1],
                                              0, 0, 0};
        found++;
    }
    *size = found;
    miscount(name_, h, size);
    if (found > room) DONE(INSUFFICIENT_SIZE);
    DONE(find(VALUE, "no_samples_is_success", h->gpu, h->mig) || found ? OK : NOT_FOUND);
}

int nvmlDeviceGetMigMode(handle h, unsigned *current, unsigned *pending)
{
    *pending = 0;
    return single(h, "nvmlDeviceGetMigMode", "mig.mode", current);
}
int nvmlDeviceGetMaxMigDeviceCount(handle h, unsigned *out)
{
    return single(h, "nvmlDeviceGetMaxMigDeviceCount", "mig.most", out);
}
int nvmlDeviceGetMigDeviceHandleByIndex(handle h, unsigned index, handle *out)
{
    double present;
    CALL("nvmlDeviceGetMigDeviceHandleByIndex", h);
    if (index >= MAX_MIG) DONE(INVALID_ARGUMENT);
    if (!number("mig", h->gpu, (int)index, &present, NULL)) DONE(NOT_FOUND);
    *out = &devices[h->gpu][1 + index];
    DONE(OK);
}
int nvmlDeviceGetGpuInstanceId(handle h, unsigned *out) { return single(h, "nvmlDeviceGetGpuInstanceId", "mig", out); }

int nvmlDeviceGetSupportedEventTypes(handle h, uint64_t *out)
{
    unsigned mask = 0;
    int code = single(h, "nvmlDeviceGetSupportedEventTypes", "events", &mask);
    *out = mask;
    return code;
}
int nvmlEventSetCreate(void **out)
{
    CALL("nvmlEventSetCreate", NULL);
    event_sets++;
    memset(registered, 0, sizeof registered);
    *out = &event_sets;
    DONE(OK);
}
int nvmlDeviceRegisterEvents(handle h, uint64_t mask, void *set)
{
    CALL("nvmlDeviceRegisterEvents", h);
    pthread_mutex_lock(&mutex);
    registered[h->gpu] = 1;
    event_mask[h->gpu] = (long)mask;
    for (int i = 0; i < rule_count; i++) /* what came before is lost */
        if (rules[i].op == EVENT && rules[i].gpu == h->gpu && rules[i].from < now()) rules[i].given = 99;
    pthread_mutex_unlock(&mutex);
    DONE(OK);
}
int nvmlEventSetFree(void *set)
{
    CALL("nvmlEventSetFree", NULL);
    event_sets--;
    DONE(OK);
}

struct event { handle device; uint64_t type, data; unsigned gpu_instance, compute_instance; };

int nvmlEventSetWait_v2(void *set, struct event *out, unsigned milliseconds)
{
    CALL("nvmlEventSetWait_v2", NULL);
    for (long left = milliseconds;; left -= 5) {
        struct timespec pause = {0, 5000000};
        pthread_mutex_lock(&mutex);
        for (int i = 0; i < rule_count; i++) {
            struct rule *rule = &rules[i];
            if (rule->op != EVENT || rule->given == 99 || now() < rule->from || !registered[rule->gpu]) continue;
            rule->given = 99;
            if (!(rule->numbers[0] & event_mask[rule->gpu])) continue;
            *out = (struct event){&devices[rule->gpu][0], (uint64_t)rule->numbers[0], (uint64_t)rule->numbers[1], ~0u, ~0u};
            pthread_mutex_unlock(&mutex);
            DONE(OK);
        }
        pthread_mutex_unlock(&mutex);
        if (left <= 0) DONE(TIMEOUT);
        nanosleep(&pause, NULL);
    }
}

struct gpm_support { unsigned version, is_supported; };

int nvmlGpmQueryDeviceSupport(handle h, struct gpm_support *out)
{
    CALL("nvmlGpmQueryDeviceSupport", h);
    out->is_supported = (unsigned)value_or("gpm", h, 0);
    DONE(out->version == 1 ? OK : VERSION_MISMATCH);
}
int nvmlGpmSampleAlloc(struct sample **out)
{
    CALL("nvmlGpmSampleAlloc", NULL);
    gpm_samples++;
    *out = calloc(1, sizeof **out);
    DONE(OK);
}
int nvmlGpmSampleFree(struct sample *sample)
{
    CALL("nvmlGpmSampleFree", NULL);
    gpm_samples--;
    free(sample);
    DONE(OK);
}
int nvmlGpmSampleGet(handle h, struct sample *out)
{
    CALL("nvmlGpmSampleGet", h);
    *out = (struct sample){now(), h->gpu, -1};
    DONE(OK);
}
int nvmlGpmMigSampleGet(handle h, unsigned instance, struct sample *out)
{
    int mig = -1;
    CALL("nvmlGpmMigSampleGet", h);
    for (int i = 0; i < MAX_MIG; i++) {
        double id;
        if (number("mig", h->gpu, i, &id, NULL) && (unsigned)id == instance) mig = i;
    }
    if (mig < 0) DONE(INVALID_ARGUMENT);
    *out = (struct sample){now(), h->gpu, mig};
    DONE(OK);
}

struct gpm_metric { unsigned id, code; double value; const char *names[3]; };
struct gpm_request { unsigned version, size; struct sample *first, *second; struct gpm_metric metrics[]; };

int nvmlGpmMetricsGet(struct gpm_request *request)
{
    CALL("nvmlGpmMetricsGet", NULL);
    if (request->version != 1) DONE(VERSION_MISMATCH);
    if (request->second->at - request->first->at < 0.1) DONE(INVALID_ARGUMENT);
    for (unsigned i = 0; i < request->size; i++) { /* the binding's array is longer than the header's: no further */
        char key[32];
        struct device device = {request->second->gpu, request->second->mig};
        double value;
        snprintf(key, sizeof key, "gpm:%u", request->metrics[i].id);
        request->metrics[i].code = number(key, device.gpu, device.mig, &value, NULL) ? OK : NOT_SUPPORTED;
        request->metrics[i].value = request->metrics[i].code == OK ? value : 0;
    }
    DONE(OK);
}
